"""Puts a function for records in a secret and one for a table, both places and a role into LocalStack, once it is ready."""

import io
import os
import pathlib
import zipfile

import boto3

ENDPOINT = os.environ.get("LATCHKEY_LOCALSTACK", "http://localhost:4566")
BUNDLE = pathlib.Path(os.environ.get("LATCHKEY_BUNDLE", "/bundle"))
NAME = "latchkey"
SECRET = "latchkey/devices"
TABLE = "latchkey-devices"


def client(service):
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client(service, endpoint_url=ENDPOINT, region_name="us-east-1", **keys)


def code():
    """The zip file that a deploy uploads: the program at the top, executable."""
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(BUNDLE / "bootstrap", "bootstrap")
    return zipped.getvalue()


def main():
    if not (BUNDLE / "bootstrap").exists():
        raise SystemExit("there is no target/bundle/bootstrap: `make bundle` builds it")
    trust = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",'
        '"Principal":{"Service":"lambda.amazonaws.com"}}]}'
    )
    role = client("iam").create_role(RoleName=NAME, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    client("secretsmanager").create_secret(Name=SECRET, SecretString='{"version":1,"devices":{}}')
    client("dynamodb").create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "device", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "device", "KeyType": "HASH"}],
    )
    # The one that Docker waits for is the last.
    function(f"{NAME}-table", role, f"dynamodb:{TABLE}")
    function(NAME, role, f"secretsmanager:{SECRET}")


def function(name, role, store):
    client("lambda").create_function(
        FunctionName=name,
        Runtime="provided.al2023",
        Handler="bootstrap",
        Architectures=["x86_64"],
        Role=role,
        Timeout=5,
        MemorySize=512,
        Code={"ZipFile": code()},
        Environment={
            "Variables": {
                "LATCHKEY_STORE": store,
                # A record that was put a moment ago is to be seen.
                "LATCHKEY_CACHE_SECONDS": "0",
            }
        },
    )


main()
