"""Each vendor's account and answers. The bodies are as the vendors' pages print them; sources in the adapters."""

from __future__ import annotations

import botocore.auth
import botocore.credentials  # noqa: F401 - the first call of all imports both, and no test is to wait for that

from tests.providers.contract import ADDRESS, Case
from tests.providers.push_keys import APNS_KEY, BROWSER, SERVICE_ACCOUNT, VAPID_KEY, lines_of
from tests.providers.vendor_server import Said

LATER = {"Retry-After": "7"}
SECRET = "s3cr3t-0123456789abcdef0123"
SID = "AC" + "0" * 32


def fcm_error(code: int, status: str, error_code: str, **detail: object) -> dict[str, object]:
    """As https://firebase.google.com/docs/cloud-messaging/error-codes prints them."""
    kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
    details = [{"@type": kind, "errorCode": error_code}, *([detail] if detail else [])]
    return {"error": {"code": code, "message": "Ada's words", "status": status, "details": details}}


def expo_error(code: str) -> dict[str, object]:
    """A ticket, or a receipt, that is none."""
    said = '"ExponentPushToken[xxada-xxxxxxxxxxxxxxxxx]" is not a registered push notification recipient'
    return {"status": "error", "message": said, "details": {"error": code}}


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
    carries_key=False,  # there is no place for it
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

FCM = Case(
    "fcm",
    {"project_id": "loop-4711"},
    {"service_account": SERVICE_ACCOUNT},
    token="fcm-token:APA91b-ada",
    taken=Said(200, {"name": "projects/loop-4711/messages/0:1500415314455276%31bd1c9631bd1c96"}),
    reference="projects/loop-4711/messages/0:1500415314455276%31bd1c9631bd1c96",
    bad_recipient=Said(404, fcm_error(404, "NOT_FOUND", "UNREGISTERED")),
    refused=Said(403, fcm_error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH")),
    busy=Said(429, fcm_error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), LATER),
    misconfigured=Said(401, fcm_error(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR")),
    private=("fcm-token", "ya29", *lines_of(SERVICE_ACCOUNT)),
    aside={"/token": Said(200, {"access_token": "ya29.ada", "expires_in": 3599, "token_type": "Bearer"})},
)
APNS = Case(
    "apns",
    {"team_id": "DEF123GHIJ", "key_id": "ABC123DEFG", "topic": "test.loop.visits"},
    {"key": APNS_KEY},
    token="00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0",
    taken=Said(200, raw=b"", headers={"apns-id": "eabeae54-14a8-11e5-b60b-1697f925ec7b"}),
    reference="eabeae54-14a8-11e5-b60b-1697f925ec7b",
    bad_recipient=Said(410, {"reason": "Unregistered", "timestamp": 1893499200000}),
    refused=Said(400, {"reason": "DeviceTokenNotForTopic"}),
    busy=Said(429, {"reason": "TooManyRequests"}, LATER),
    misconfigured=Said(403, {"reason": "InvalidProviderToken"}),
    private=("00fc13ad", "bearer ey", *lines_of(APNS_KEY)),
)
WEBPUSH = Case(
    "webpush",
    {"subject": "mailto:care@loop.test"},
    {"vapid_private_key": VAPID_KEY},
    token=BROWSER.token("https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV"),
    taken=Said(201, raw=b"", headers={"Location": "https://push.example.net/message/qDIYHNcfAIPP_5ITvURr"}),
    reference=None,
    bad_recipient=Said(410, raw=b""),
    refused=Said(413, raw=b""),
    busy=Said(429, raw=b"", headers=LATER),
    misconfigured=Said(403, raw=b"invalid JWT provided"),
    carries_key=False,
    gone=frozenset([404]),
    private=("JzLQ3raZ", "qDIYHNcf", "vapid t", VAPID_KEY),
)
EXPO = Case(
    "expo",
    {},
    {"access_token": SECRET},
    token="ExponentPushToken[xxada-xxxxxxxxxxxxxxxxx]",
    taken=Said(200, {"data": {"status": "ok", "id": "0190a7f1-6f1b-7c3e-a3c0-1c8a6c3ab6d1"}}),
    reference="0190a7f1-6f1b-7c3e-a3c0-1c8a6c3ab6d1",
    bad_recipient=Said(200, {"data": expo_error("DeviceNotRegistered")}),
    refused=Said(200, {"data": expo_error("MessageTooBig")}),
    busy=Said(429, {"errors": [{"code": "TOO_MANY_REQUESTS", "message": "slow down"}]}, LATER),
    misconfigured=Said(401, {"errors": [{"code": "UNAUTHORIZED", "message": "a token is needed"}]}),
    carries_key=False,
    private=("xxada",),
)


def ses(status: int, name: str, prose: str, headers: dict[str, str] | None = None) -> Said:
    """As SES refuses (rest-json 1.1): the exception's name stands in a header."""
    return Said(status, {"message": prose}, {"x-amzn-ErrorType": f"{name}:http://x/", **(headers or {})})


def sns(status: int, code: str, prose: str, headers: dict[str, str] | None = None) -> Said:
    """As SNS refuses (the query protocol): XML."""
    xml = f'<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type><Code>{code}</Code><Message>{prose}</Message></Error><RequestId>9dd01905</RequestId></ErrorResponse>'
    return Said(status, raw=xml.encode(), headers={"Content-Type": "text/xml", **(headers or {})})


def published(message_id: str) -> Said:
    """As SNS takes a text."""
    xml = f'<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>{message_id}</MessageId></PublishResult></PublishResponse>'
    return Said(200, raw=xml.encode(), headers={"Content-Type": "text/xml"})


AMAZON = {"access_key_id": "AKIDEXAMPLE00000000", "secret_access_key": SECRET}

SES = Case(
    "ses",
    {"region": "eu-west-1", "configuration_set_name": "comms"},
    AMAZON,
    taken=Said(200, {"MessageId": "0102017b-d8d3-4b70-000000"}),
    reference="0102017b-d8d3-4b70-000000",
    bad_recipient=ses(400, "BadRequestException", f"Illegal address: {ADDRESS}"),
    refused=ses(400, "MessageRejected", "Transaction failed: message is too long"),
    busy=ses(429, "TooManyRequestsException", "Maximum sending rate exceeded.", LATER),
    misconfigured=ses(400, "MessageRejected", f"Email address is not verified: {ADDRESS}"),
    names_bad_recipients=False,
    signs_each_call=True,
)
SNS = Case(
    "sns",
    {"region": "eu-west-1", "sender_id": "Loop"},
    AMAZON,
    taken=published("94f20ce6-13c5-43a0-9a9e-ca52d816e90b"),
    reference="94f20ce6-13c5-43a0-9a9e-ca52d816e90b",
    bad_recipient=sns(
        400, "InvalidParameter", "Invalid parameter: PhoneNumber Reason: is not valid to publish to"
    ),
    refused=sns(400, "OptedOut", "the number has opted out"),
    busy=sns(429, "Throttled", "Rate exceeded", LATER),
    misconfigured=sns(403, "AuthorizationError", "User is not authorized to perform: SNS:Publish"),
    carries_key=False,
    signs_each_call=True,
)

CASES = [
    POSTMARK,
    SENDGRID,
    RESEND,
    MAILGUN,
    SES,
    TWILIO,
    TELNYX,
    VONAGE,
    SNS,
    FCM,
    APNS,
    WEBPUSH,
    EXPO,
]
