"""Puts the function, its secret, a table and its role into LocalStack, which runs this once it is ready."""

import io
import os
import pathlib
import zipfile

import boto3

ENDPOINT = os.environ.get("LATCHKEY_LOCALSTACK", "http://localhost:4566")
BUNDLE = pathlib.Path(os.environ.get("LATCHKEY_BUNDLE", "/bundle"))
NAME = "latchkey"
SECRET = "latchkey/devices"


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
    client("lambda").create_function(
        FunctionName=NAME,
        Runtime="provided.al2023",
        Handler="bootstrap",
        Architectures=["x86_64"],
        Role=role,
        Timeout=5,
        MemorySize=512,
        Code={"ZipFile": code()},
        Environment={
            "Variables": {
                "LATCHKEY_STORE": f"secretsmanager:{SECRET}",
                # A record that was put a moment ago is to be seen.
                "LATCHKEY_CACHE_SECONDS": "0",
            }
        },
    )


main()
