use super::*;
use crate::arena::Variables;
use crate::draw::{Draws, Key};

fn signed(aws: &Aws, unix_seconds: u64, request: &str) -> String {
    let mut out = b"what stood there before".to_vec();
    let start = out.len();
    out.extend_from_slice(request.as_bytes());
    let mut filler = Filler {
        variables: &Variables::new(0, 0),
        values: &(),
        draws: &mut Draws::new(Key::new(0, 0), 0),
        slot: 0,
        user: 0,
        unix_ns: unix_seconds * 1_000_000_000,
    };
    aws.sign(start, &mut filler, &mut out).unwrap();
    assert!(out.starts_with(b"what stood there before"));
    String::from_utf8(out.split_off(start)).unwrap()
}

fn literal(text: &str) -> Value {
    Value::Literal(text.as_bytes().into())
}

fn keys(access_key: &str, secret_key: &str, service: &str) -> Aws {
    Aws {
        access_key: literal(access_key),
        secret_key: literal(secret_key),
        session_token: None,
        region: literal("us-east-1"),
        service: literal(service),
    }
}

/// Signatures of the test suite that AWS publishes: 30 August 2015, 12:36:00.
#[test]
fn the_published_suite() {
    let aws = keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "service");
    for (request, names, signature) in [
        (
            "GET / HTTP/1.1\r\nHost: example.amazonaws.com\r\n\r\n",
            "host;x-amz-date",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "GET /?Param2=value2&Param1=value1 HTTP/1.1\r\nHost: example.amazonaws.com\r\n\r\n",
            "host;x-amz-date",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "POST / HTTP/1.1\r\nHost: example.amazonaws.com\r\nUser-Agent: any\r\nContent-Length: 0\r\n\r\n",
            "host;x-amz-date",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
    ] {
        let text = signed(&aws, 1_440_938_160, request);
        let lines = format!(
            "\r\nX-Amz-Date: 20150830T123600Z\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={names}, Signature={signature}\r\n\r\n"
        );
        assert_eq!(text, request.replace("\r\n\r\n", &lines));
    }
}

/// The examples of the documentation of S3: 24 May 2013.
#[test]
fn the_examples_of_s3() {
    let aws = keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "s3");
    let host = "Host: examplebucket.s3.amazonaws.com\r\n";
    for (request, signature) in [
        (
            format!("GET /test.txt HTTP/1.1\r\n{host}Range: bytes=0-9\r\n\r\n"),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            format!(
                "PUT /test%24file.text HTTP/1.1\r\n{host}Date: Fri, 24 May 2013 00:00:00 GMT\r\n\
                 x-amz-storage-class: REDUCED_REDUNDANCY\r\nContent-Length: 21\r\n\r\nWelcome to Amazon S3."
            ),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            format!("GET /?lifecycle HTTP/1.1\r\n{host}\r\n"),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            format!("GET /?prefix=J&max-keys=2 HTTP/1.1\r\n{host}\r\n"),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ] {
        let text = signed(&aws, 1_369_353_600, &request);
        assert!(text.contains(&format!("Signature={signature}\r\n\r\n")), "{text}");
        assert_eq!(text.split("\r\n\r\n").nth(1), request.split("\r\n\r\n").nth(1), "the body stays");
    }
}

#[test]
fn session_tokens_are_sent_and_signed() {
    let mut aws = keys("A", "S", "s3");
    aws.session_token = Some(literal("temporary"));
    let text = signed(&aws, 0, "GET /a%20b?x=%2f HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(text.contains("\r\nX-Amz-Security-Token: temporary\r\n"), "{text}");
    assert!(
        text.contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,"),
        "{text}"
    );
    assert!(text.contains("X-Amz-Date: 19700101T000000Z\r\n"), "{text}");
}
