"""Each vendor's account and answers. The bodies are as the vendors' pages print them; sources in the adapters."""

from __future__ import annotations

from tests.providers.contract import ADDRESS, Case
from tests.providers.vendor_server import Said

LATER = {"Retry-After": "7"}
SECRET = "s3cr3t-0123456789abcdef0123"
SID = "AC" + "0" * 32

POSTMARK = Case(
    "postmark",
    {"message_stream": "outbound"},
    {"server_token": SECRET},
    taken=Said(200, {"To": ADDRESS, "MessageID": "b7bc2f4a", "ErrorCode": 0, "Message": "OK"}),
    reference="b7bc2f4a",
    bad_recipient=Said(422, {"ErrorCode": 406, "Message": f"Found inactive addresses: {ADDRESS}."}),
    refused=Said(422, {"ErrorCode": 300, "Message": "Provide either email TextBody or HtmlBody or both."}),
    busy=Said(429, {"ErrorCode": 429, "Message": "Rate limit exceeded"}, LATER),
    misconfigured=Said(422, {"ErrorCode": 401, "Message": "The From address is not confirmed."}),
)
SENDGRID = Case(
    "sendgrid",
    {},
    {"api_key": SECRET},
    taken=Said(202, headers={"X-Message-Id": "14c5d75ce93"}, raw=b""),
    reference="14c5d75ce93",
    bad_recipient=Said(
        400,
        {
            "errors": [
                {
                    "message": f"{ADDRESS} is no address",
                    "field": "personalizations.0.to.0.email",
                    "help": None,
                }
            ]
        },
    ),
    refused=Said(
        400, {"errors": [{"message": "The subject is required.", "field": "subject", "help": None}]}
    ),
    busy=Said(429, {"errors": [{"field": None, "message": "too many requests"}]}, LATER),
    misconfigured=Said(
        403,
        {
            "errors": [
                {"message": "The from address does not match a verified Sender Identity.", "field": "from"}
            ]
        },
    ),
)
RESEND = Case(
    "resend",
    {},
    {"api_key": SECRET},
    taken=Said(200, {"id": "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"}),
    reference="49a3999c-0ce1-4ea6-ab68-afcd6dc2e794",
    bad_recipient=Said(422, {"statusCode": 422, "name": "validation_error", "message": f"no {ADDRESS}"}),
    refused=Said(422, {"statusCode": 422, "name": "missing_required_field", "message": "subject"}),
    busy=Said(429, {"statusCode": 429, "name": "rate_limit_exceeded", "message": "Too many"}, LATER),
    misconfigured=Said(403, {"statusCode": 403, "name": "invalid_api_key", "message": "API key is invalid"}),
    idempotent=True,
    names_bad_recipients=False,
)
MAILGUN = Case(
    "mailgun",
    {"domain": "mg.loop.test"},
    {"api_key": SECRET},
    taken=Said(200, {"id": "<key@mg.loop.test>", "message": "Queued. Thank you."}),
    reference="key@mg.loop.test",
    bad_recipient=Said(400, {"message": "to parameter is not a valid address. please check documentation"}),
    refused=Said(400, {"message": "Need at least one of 'text', 'html' or 'template' parameters specified"}),
    busy=Said(429, {"message": "Too many requests"}, LATER),
    misconfigured=Said(401, raw=b"Forbidden"),
)
TWILIO = Case(
    "twilio",
    {"account_sid": SID, "from": "+15555550100"},
    {"auth_token": SECRET},
    taken=Said(201, {"sid": "SM" + "a" * 32, "status": "queued"}),
    reference="SM" + "a" * 32,
    bad_recipient=Said(400, {"code": 21211, "message": "The 'To' number is not valid.", "status": 400}),
    refused=Said(400, {"code": 21610, "message": "Attempt to send to unsubscribed recipient", "status": 400}),
    busy=Said(429, {"code": 20429, "message": "Too Many Requests", "status": 429}, LATER),
    misconfigured=Said(401, {"code": 20003, "message": "Authenticate", "status": 401}),
)
TELNYX = Case(
    "telnyx",
    {"from": "+15555550100"},
    {"api_key": SECRET},
    taken=Said(200, {"data": {"id": "40385f64-5717", "record_type": "message"}}),
    reference="40385f64-5717",
    bad_recipient=Said(
        400, {"errors": [{"code": "40310", "title": "Invalid 'to' address", "detail": "no number"}]}
    ),
    refused=Said(400, {"errors": [{"code": "40300", "title": "Blocked due to STOP message"}]}),
    busy=Said(429, {"errors": [{"code": "10011", "title": "Too many requests"}]}, LATER),
    misconfigured=Said(401, {"errors": [{"code": "10009", "title": "Authentication failed"}]}),
)
VONAGE = Case(
    "vonage",
    {"from": "Loop"},
    {"api_key": "abcd1234", "api_secret": SECRET},
    taken=Said(200, {"message-count": "1", "messages": [{"status": "0", "message-id": "0A00000012"}]}),
    reference="0A00000012",
    bad_recipient=Said(
        200, {"message-count": "1", "messages": [{"status": "6", "error-text": "Unroutable"}]}
    ),
    refused=Said(200, {"message-count": "1", "messages": [{"status": "7", "error-text": "Number barred"}]}),
    busy=Said(200, {"message-count": "1", "messages": [{"status": "1", "error-text": "Throttled"}]}, LATER),
    misconfigured=Said(200, {"message-count": "1", "messages": [{"status": "4", "error-text": "Bad login"}]}),
)

CASES = [POSTMARK, SENDGRID, RESEND, MAILGUN, TWILIO, TELNYX, VONAGE]
