//! From a request step to the parts of its bytes.

use super::compile::Compiler;
use super::{Needs, Request, TokenRequest};
use crate::aws::Aws;
use crate::digest::Login;
use crate::encode;
use crate::exchange::{RegexSubject, Source, Subject};
use crate::expression::{Expression, ExpressionKind, Function};
use crate::request::{Filter, Part, Template as RequestTemplate};
use crate::syntax::{Auth, BodySource, JsonNode, MultipartPart, PartValue, RequestStep, Size};
use crate::template::{Template, TemplatePart};
use crate::value::{Amount, Value};

/// The `User-Agent` of requests that name none.
const USER_AGENT: &str = concat!("openloop/", env!("CARGO_PKG_VERSION"));
/// What parts of a multipart body are divided by; what is filled in is random where it matters to anyone.
const BOUNDARY: &str = "openloop-7c1e9a52b0f34d86-part";

/// Parts that are being put together; literals that follow each other become one.
#[derive(Default)]
struct Parts(Vec<Part>);

impl Parts {
    fn text(&mut self, text: &str) {
        self.literal(text.as_bytes());
    }

    fn literal(&mut self, bytes: &[u8]) {
        match self.0.last_mut() {
            Some(Part::Literal(last)) => *last = [&**last, bytes].concat().into(),
            _ => self.0.push(Part::Literal(bytes.into())),
        }
    }

    fn value(&mut self, value: Value, filter: Filter) {
        match (value, filter) {
            (Value::Literal(bytes), Filter::Percent) => {
                let mut encoded = Vec::new();
                for &byte in &*bytes {
                    encode::push_percent(byte, &mut encoded);
                }
                self.literal(&encoded);
            }
            (Value::Literal(bytes), Filter::Json) => {
                let mut encoded = Vec::new();
                for &byte in &*bytes {
                    encode::push_json(byte, &mut encoded);
                }
                self.literal(&encoded);
            }
            (Value::Literal(bytes), Filter::Plain) => self.literal(&bytes),
            // Literals from the plan and its constants are looked at like any other value.
            (value, filter) => self.0.push(Part::Value(value, filter)),
        }
    }

    fn template(&mut self, compiler: &mut Compiler<'_>, template: &Template, filter: Filter) {
        for value in compiler.parts(template) {
            let is_fit = |bytes: &[u8]| match filter {
                Filter::Target => !bytes.iter().any(|byte| *byte <= b' ' || *byte == 0x7f),
                Filter::Field => !bytes.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t'),
                _ => false,
            };
            match value.literal() {
                Some(bytes) if is_fit(bytes) => self.literal(bytes),
                _ => self.value(value, filter),
            }
        }
    }

    fn field(&mut self, compiler: &mut Compiler<'_>, name: &str, value: &Template) {
        self.text(name);
        self.text(": ");
        self.template(compiler, value, Filter::Field);
        self.text("\r\n");
    }
}

/// Whether a text of a JSON body is `{{as_number(…)}}` and nothing else.
fn is_number(template: &Template) -> bool {
    let [TemplatePart::Expression(Expression { kind, .. })] = template.parts.as_slice() else { return false };
    matches!(kind, ExpressionKind::Call(Function::Number, _))
}

impl Compiler<'_> {
    pub(super) fn request(&mut self, step: &RequestStep) -> Request {
        let target = self.target_index(step.target.as_ref().map(|(name, _)| name.as_str()));
        let template = self.request_template(step, target);
        // Values of checks are looked up before those of extractions are set: the same order as in the scenario's validation.
        let checks = step.checks.iter().map(|check| self.check(check)).collect();
        let extractions = step.extractions.iter().map(|extraction| self.extraction(extraction)).collect();
        Request {
            name: step.name.clone(),
            target,
            timeout_ns: step.timeout_ns,
            fail_status: step.fail_status.clone(),
            redirects: step.redirects,
            tags: step.tags.clone(),
            needs: needs(step),
            is_head: step.method == "HEAD",
            template,
            extractions,
            checks,
        }
    }

    fn request_template(&mut self, step: &RequestStep, target: u16) -> RequestTemplate {
        let mut fields = Parts::default();
        let mut credentials = Parts::default();
        let mut body_fields = Parts::default();
        let named = |name: &str| step.headers.iter().any(|header| header.name.eq_ignore_ascii_case(name));
        if !named("User-Agent") {
            fields.text(&format!("User-Agent: {USER_AGENT}\r\n"));
        }
        for header in &step.headers {
            let is = |names: &[&str]| names.iter().any(|name| header.name.eq_ignore_ascii_case(name));
            let parts = if is(&["Authorization", "Cookie", "Proxy-Authorization"]) {
                &mut credentials
            } else if is(&["Content-Type", "Content-Encoding", "Content-Language"]) {
                &mut body_fields
            } else {
                &mut fields
            };
            parts.field(self, &header.name, &header.value);
        }
        if let Some(auth) = &step.auth {
            self.auth(auth, &mut credentials);
        }
        let (content_type, body) = self.body(&step.body);
        let takes_body = matches!(step.method.as_str(), "POST" | "PUT" | "PATCH");
        if let Some(content_type) = content_type.filter(|_| !named("Content-Type")) {
            body_fields.text(&format!("Content-Type: {content_type}\r\n"));
        }
        RequestTemplate {
            method: step.method.clone(),
            target: self.url(step, target),
            fields: fields.0,
            credentials: credentials.0,
            body_fields: body_fields.0,
            // RFC 9110 §8.6: methods that mean a body say that there is none.
            body: body.or_else(|| takes_body.then(Vec::new)),
            aws: step.auth.as_ref().and_then(|auth| self.aws(auth)),
            login: step.auth.as_ref().and_then(|auth| self.digest(auth, target)),
        }
    }

    fn url(&mut self, step: &RequestStep, target: u16) -> Vec<Part> {
        let mut parts = Parts::default();
        if let Some(target) = self.targets.get(usize::from(target)) {
            parts.text(&target.base_path);
        }
        let begins_with_slash = match step.url.parts.first() {
            Some(crate::template::TemplatePart::Text(text)) => text.starts_with('/'),
            Some(crate::template::TemplatePart::Expression(_)) => true,
            None => false,
        };
        if !begins_with_slash {
            parts.text("/");
        }
        parts.template(self, &step.url, Filter::Target);
        let has_query = step
            .url
            .parts
            .iter()
            .any(|part| matches!(part, crate::template::TemplatePart::Text(text) if text.contains('?')));
        let mut separator = if has_query { "&" } else { "?" };
        for (name, value) in &step.query {
            parts.text(separator);
            parts.value(Value::Literal(name.as_bytes().into()), Filter::Percent);
            parts.text("=");
            parts.template(self, value, Filter::Percent);
            separator = "&";
        }
        parts.0
    }

    fn auth(&mut self, auth: &Auth, credentials: &mut Parts) {
        match auth {
            Auth::Basic { user, password } => {
                let pair = [self.template(user), Value::Literal(b":"[..].into()), self.template(password)]
                    .into_iter();
                let pair = Value::Concat(pair.collect());
                credentials.text("Authorization: Basic ");
                credentials.value(Value::Call(Function::Base64, [pair].into()), Filter::Field);
                credentials.text("\r\n");
            }
            Auth::Bearer(token) => {
                credentials.text("Authorization: Bearer ");
                credentials.template(self, token, Filter::Field);
                credentials.text("\r\n");
            }
            Auth::OAuth2 { token_url, client_id, client_secret, scope, in_body } => {
                let request = TokenRequest {
                    url: self.template(token_url),
                    client_id: self.template(client_id),
                    client_secret: self.template(client_secret),
                    scope: scope.as_ref().map(|scope| self.template(scope)),
                    in_body: *in_body,
                };
                credentials.text("Authorization: Bearer ");
                let token = self.token(request);
                credentials.value(token, Filter::Field);
                credentials.text("\r\n");
            }
            // Both need what is written of the request by then.
            Auth::Digest { .. } | Auth::Aws { .. } => {}
        }
    }

    fn digest(&mut self, auth: &Auth, target: u16) -> Option<u16> {
        let Auth::Digest { user, password } = auth else { return None };
        let (user, password) = (self.template(user), self.template(password));
        Some(self.login(Login { target, user, password }))
    }

    fn aws(&mut self, auth: &Auth) -> Option<Aws> {
        let Auth::Aws { access_key, secret_key, session_token, region, service } = auth else { return None };
        Some(Aws {
            access_key: self.template(access_key),
            secret_key: self.template(secret_key),
            session_token: session_token.as_ref().map(|token| self.template(token)),
            region: self.template(region),
            service: self.template(service),
        })
    }

    /// The type of the body's content, where its kind says it, and its parts.
    fn body(&mut self, body: &BodySource) -> (Option<String>, Option<Vec<Part>>) {
        let mut parts = Parts::default();
        let content_type = match body {
            BodySource::None => return (None, None),
            BodySource::Text(text) => {
                parts.template(self, text, Filter::Plain);
                None
            }
            BodySource::File(path, _) => {
                let file = self.file(path);
                parts.value(file, Filter::Plain);
                None
            }
            BodySource::Bytes(size) => {
                let amount = self.amount(size);
                parts.value(Value::Made(amount), Filter::Plain);
                Some("application/octet-stream".to_owned())
            }
            BodySource::Json(node) => {
                self.json(node, &mut parts);
                Some("application/json".to_owned())
            }
            BodySource::Form(fields) => {
                for (index, (name, value)) in fields.iter().enumerate() {
                    parts.text(if index == 0 { "" } else { "&" });
                    parts.value(Value::Literal(name.as_bytes().into()), Filter::Percent);
                    parts.text("=");
                    parts.template(self, value, Filter::Percent);
                }
                Some("application/x-www-form-urlencoded".to_owned())
            }
            BodySource::Multipart(items) => {
                for item in items {
                    self.multipart(item, &mut parts);
                }
                parts.text(&format!("--{BOUNDARY}--\r\n"));
                Some(format!("multipart/form-data; boundary={BOUNDARY}"))
            }
        };
        (content_type, Some(parts.0))
    }

    fn amount(&mut self, size: &Size) -> Amount {
        match size {
            Size::Given(template) => Amount::Given(Box::new(self.template(template))),
            Size::Uniform { low, high } => Amount::Uniform { low: *low, high: *high },
            Size::Exponential { mean } => Amount::Exponential { mean: *mean },
            Size::Normal { mean, deviation } => Amount::Normal { mean: *mean, deviation: *deviation },
        }
    }

    fn json(&mut self, node: &JsonNode, parts: &mut Parts) {
        match node {
            JsonNode::Plain(text) => parts.text(text),
            JsonNode::Text(template) if is_number(template) => parts.template(self, template, Filter::Plain),
            JsonNode::Text(template) => self.json_string(template, parts),
            JsonNode::List(nodes) => {
                parts.text("[");
                for (index, node) in nodes.iter().enumerate() {
                    parts.text(if index == 0 { "" } else { "," });
                    self.json(node, parts);
                }
                parts.text("]");
            }
            JsonNode::Map(members) => {
                parts.text("{");
                for (index, (name, node)) in members.iter().enumerate() {
                    parts.text(if index == 0 { "" } else { "," });
                    self.json_string(name, parts);
                    parts.text(":");
                    self.json(node, parts);
                }
                parts.text("}");
            }
        }
    }

    fn json_string(&mut self, template: &Template, parts: &mut Parts) {
        parts.text("\"");
        parts.template(self, template, Filter::Json);
        parts.text("\"");
    }

    fn multipart(&mut self, item: &MultipartPart, parts: &mut Parts) {
        // As browsers do (WHATWG HTML §4.10.21.8): quotation marks within names are percent-encoded.
        let quoted = |text: &str| text.replace('"', "%22");
        parts.text(&format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\"",
            quoted(&item.name)
        ));
        if let Some(filename) = &item.filename {
            parts.text(&format!("; filename=\"{}\"", quoted(filename)));
        }
        if let Some(content_type) = &item.content_type {
            parts.text(&format!("\r\nContent-Type: {content_type}"));
        }
        parts.text("\r\n\r\n");
        match &item.value {
            PartValue::Text(template) => parts.template(self, template, Filter::Plain),
            PartValue::File(path, _) => {
                let file = self.file(path);
                parts.value(file, Filter::Plain);
            }
        }
        parts.text("\r\n");
    }
}

fn needs(step: &RequestStep) -> Needs {
    let is_challenged = matches!(step.auth, Some(Auth::Digest { .. }));
    let mut needs = Needs { head: step.redirects > 0 || is_challenged, body: false };
    for extraction in &step.extractions {
        match &extraction.source {
            Source::Json(_) | Source::Regex { subject: RegexSubject::Body, .. } => needs.body = true,
            Source::Header(_) | Source::Cookie(_) | Source::Regex { .. } => needs.head = true,
            Source::Status => {}
        }
    }
    for check in &step.checks {
        match &check.subject {
            Subject::Header(_) => needs.head = true,
            Subject::Json(_) | Subject::Body => needs.body = true,
            Subject::Status(_) | Subject::Size | Subject::Time => {}
        }
    }
    // How a body was encoded stands in the head.
    needs.head |= needs.body;
    needs
}
