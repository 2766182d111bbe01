"""What a test wants of an S3-compatible store, through a client of another make.

    store.py user ENDPOINT BUCKET    makes a user with a key, and with that key a bucket; prints the key as JSON
    store.py list ENDPOINT BUCKET    prints every object's key and size as JSON; the key is in the environment
"""

import json
import os
import sys

import boto3


def client(endpoint, service, key="free", secret="of-charge"):
    return boto3.client(
        service, endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret
    )


def user(endpoint, bucket):
    # The server takes its first three calls from anybody; from then on it verifies every signature.
    identities = client(endpoint, "iam")
    identities.create_user(UserName="load")
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    identities.put_user_policy(UserName="load", PolicyName="all", PolicyDocument=json.dumps(policy))
    key = identities.create_access_key(UserName="load")["AccessKey"]
    client(endpoint, "s3", key["AccessKeyId"], key["SecretAccessKey"]).create_bucket(Bucket=bucket)
    return [key["AccessKeyId"], key["SecretAccessKey"]]


def objects(endpoint, bucket):
    store = client(endpoint, "s3", os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    pages = store.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {found["Key"]: found["Size"] for page in pages for found in page.get("Contents", [])}


command, *arguments = sys.argv[1:]
print(json.dumps({"user": user, "list": objects}[command](*arguments)))
