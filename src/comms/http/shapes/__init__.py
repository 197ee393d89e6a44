"""What goes in and what comes out, a file a resource.

`more_schema` is what a shape's JSON Schema says beyond its members' types.
"""
