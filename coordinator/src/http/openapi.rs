//! The description of the API: `OpenAPI` 3.1, made from the operations and the types that carry them out.

use serde_json::{Map, Value, json};

use super::api::{Operation, ROOT, operations};
use super::body::Json;

/// The document, as it stands in the repository.
pub fn openapi() -> Value {
    let mut api = operations();
    let mut paths = Map::new();
    for operation in &api.operations {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.as_str().to_ascii_lowercase()] = described(operation);
    }
    let schemas = api.schemas.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Openloop coordinator",
            "version": "1",
            "description": "Directs a fleet of load engines. Counts and names mean what docs/glossary.md says. \
                Times of the wall clock are RFC 3339 in UTC; fields whose name ends in _ns are nanoseconds.",
        },
        "servers": [{"url": ROOT}],
        "security": [{"token": []}, {"session": []}, {}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": super::gate::COOKIE},
            },
        },
    })
}

pub(crate) async fn document() -> Json<Value> {
    Json(openapi())
}

fn described(operation: &Operation) -> Value {
    let (media_type, schema) = &operation.answer;
    let mut value = json!({
        "summary": operation.what,
        "operationId": operation_id(operation),
        "responses": {
            "200": {"description": "Granted", "content": {*media_type: {"schema": schema}}},
            "default": {
                "description": "Not granted, and why",
                "content": {
                    "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
                },
            },
        },
    });
    let mut parameters: Vec<Value> = path_parameters(operation.path)
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    let properties = operation.query.as_ref().and_then(|schema| schema.get("properties")?.as_object());
    for (name, schema) in properties.into_iter().flatten() {
        parameters.push(json!({"name": name, "in": "query", "required": false, "schema": schema}));
    }
    if !parameters.is_empty() {
        value["parameters"] = Value::Array(parameters);
    }
    if let Some((media_type, schema)) = &operation.body {
        value["requestBody"] = json!({"required": true, "content": {*media_type: {"schema": schema}}});
    }
    value
}

fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// Such as `post_runs_run_stop`.
fn operation_id(operation: &Operation) -> String {
    let path = operation.path.replace(['/', '.'], "_").replace(['{', '}'], "");
    format!("{}{path}", operation.method.as_str().to_ascii_lowercase())
}
