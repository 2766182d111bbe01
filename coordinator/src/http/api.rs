//! The operations of the API: each stands here once, and from here go both to the router and into its description.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::http::{Method, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, on};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::error::Problem;
use super::{Edge, events, files, fleet, gate, health, locust, metrics, openapi, page, runs, session};
use crate::handle::{
    DrainRequest, FileView, FleetView, LogEntry, LogsQuery, NodeView, RateChange, RateRequest, RunView,
    RunsPage, RunsQuery, SecondView, StartRequest,
};

/// Where the API begins.
pub(crate) const ROOT: &str = "/api/v1";

/// One operation, as its description needs it.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) what: &'static str,
    pub(crate) query: Option<Schema>,
    pub(crate) body: Option<(&'static str, Schema)>,
    pub(crate) answer: (&'static str, Schema),
}

/// Operations, and the router that carries them out.
pub(crate) struct Api {
    router: Router<Arc<Edge>>,
    pub(crate) operations: Vec<Operation>,
    pub(crate) schemas: SchemaGenerator,
}

const JSON: &str = "application/json";

impl Api {
    fn new() -> Self {
        // OpenAPI 3.1 takes JSON Schema 2020-12 as it is.
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self { router: Router::new(), operations: Vec::new(), schemas: settings.into_generator() }
    }

    fn add<H, T>(&mut self, method: &Method, path: &'static str, what: &'static str, handler: H) -> &mut Self
    where
        H: Handler<T, Arc<Edge>>,
        T: 'static,
    {
        let filter =
            MethodFilter::try_from(method.clone()).expect("the methods here are among the common ones");
        let router = std::mem::take(&mut self.router);
        self.router = router.route(&format!("{ROOT}{path}"), on(filter, handler));
        let nothing = Schema::default();
        let answer = (JSON, nothing);
        let method = method.clone();
        self.operations.push(Operation { method, path, what, query: None, body: None, answer });
        self
    }

    fn get<H: Handler<T, Arc<Edge>>, T: 'static>(
        &mut self,
        path: &'static str,
        what: &'static str,
        handler: H,
    ) -> &mut Self {
        self.add(&Method::GET, path, what, handler)
    }

    fn post<H: Handler<T, Arc<Edge>>, T: 'static>(
        &mut self,
        path: &'static str,
        what: &'static str,
        handler: H,
    ) -> &mut Self {
        self.add(&Method::POST, path, what, handler)
    }

    fn delete<H: Handler<T, Arc<Edge>>, T: 'static>(
        &mut self,
        path: &'static str,
        what: &'static str,
        handler: H,
    ) -> &mut Self {
        self.add(&Method::DELETE, path, what, handler)
    }

    fn last(&mut self) -> &mut Operation {
        self.operations.last_mut().expect("an operation was added before it is described")
    }

    fn takes<T: JsonSchema>(&mut self) -> &mut Self {
        let schema = self.schemas.subschema_for::<T>();
        self.last().body = Some((JSON, schema));
        self
    }

    fn takes_bytes(&mut self) -> &mut Self {
        self.last().body = Some(("application/octet-stream", Schema::default()));
        self
    }

    fn asks<T: JsonSchema>(&mut self) -> &mut Self {
        self.last().query = Some(self.schemas.root_schema_for::<T>());
        self
    }

    fn gives<T: JsonSchema>(&mut self) -> &mut Self {
        let schema = self.schemas.subschema_for::<T>();
        self.last().answer = (JSON, schema);
        self
    }

    fn gives_media(&mut self, media_type: &'static str) -> &mut Self {
        self.last().answer = (media_type, Schema::default());
        self
    }
}

/// Every operation of `/api/v1`.
pub(crate) fn operations() -> Api {
    let mut api = Api::new();
    api.schemas.subschema_for::<Problem>();
    about_the_fleet(&mut api);
    about_runs(&mut api);
    api.get("/files", "The files of the repository", files::list).gives::<Vec<FileView>>();
    api.post("/files", "Upload a file: its bytes are the body, its content its name", files::upload)
        .asks::<files::UploadQuery>()
        .takes_bytes()
        .gives::<FileView>();
    api.get("/files/{sha256}", "The content of a file", files::download)
        .gives_media("application/octet-stream");
    api.delete("/files/{sha256}", "Remove a file", files::remove);
    api.get("/logs", "Lines of the nodes' logs", fleet::logs).asks::<LogsQuery>().gives::<Vec<LogEntry>>();
    api.get("/session", "Who is asking", session::who).gives::<session::Who>();
    api.post(
        "/session",
        "Turn a token into the session of a browser: a cookie that no script can read",
        session::begin,
    )
    .takes::<session::Key>()
    .gives::<session::Who>();
    api.delete("/session", "Forget the session's cookie", session::end);
    api.post("/tokens", "Make a token; it is shown this once", session::mint)
        .takes::<session::TokenRequest>()
        .gives::<session::MintedToken>();
    api.get("/openapi.json", "This description", openapi::document);
    api
}

fn about_the_fleet(api: &mut Api) {
    api.get("/fleet", "The fleet as it stands: nodes, runs that have not ended", fleet::view)
        .gives::<FleetView>();
    api.get("/fleet/stream", "The same at every change, as server-sent events named `fleet`", events::fleet)
        .gives_media("text/event-stream");
    api.get("/nodes", "Every node that is known", fleet::nodes).gives::<Vec<NodeView>>();
    api.get("/nodes/{node}", "One node", fleet::node).gives::<NodeView>();
    api.post("/nodes/{node}/drain", "Move a node's load to the others, and give it no more", fleet::drain)
        .takes::<DrainRequest>()
        .gives::<NodeView>();
    api.post("/nodes/{node}/readmit", "Take a drained or quarantined node back", fleet::readmit)
        .gives::<NodeView>();
}

fn about_runs(api: &mut Api) {
    api.get("/runs", "A page of the history, the latest first", runs::list)
        .asks::<RunsQuery>()
        .gives::<RunsPage>();
    api.post("/runs", "Queue a run", runs::start).takes::<StartRequest>().gives::<RunView>();
    api.post("/runs/stop", "Stop every run and empty the queue", runs::stop_all).gives::<runs::Stopped>();
    api.get("/runs/{run}", "One run, with the shares of its nodes", runs::one).gives::<RunView>();
    api.delete("/runs/{run}", "Forget a run that has ended", runs::delete);
    api.post("/runs/{run}/stop", "Send nothing more, and wait for what is in flight", runs::stop)
        .gives::<RunView>();
    api.post("/runs/{run}/abort", "Leave the run now", runs::abort).takes::<runs::Why>().gives::<RunView>();
    api.post("/runs/{run}/rate", "Change the rate, on every node at one instant", runs::set_rate)
        .takes::<RateRequest>()
        .gives::<RateChange>();
    api.get("/runs/{run}/seconds", "The seconds of a run that changed after a revision", runs::seconds)
        .asks::<runs::SecondsQuery>()
        .gives::<Vec<SecondView>>();
    api.get(
        "/runs/{run}/stream",
        "The run as server-sent events: `history` (all so far), then `seconds`, `run`, and `end`; Last-Event-ID resumes",
        events::run,
    )
    .asks::<events::StreamQuery>()
    .gives_media("text/event-stream");
    api.get(
        "/runs/{run}/report",
        "The openloop.summary/1 document; of a run under way, of its complete seconds, with run.under_way",
        runs::report,
    );
}

/// Everything that the edge answers.
pub(crate) fn router(edge: &Arc<Edge>) -> Router {
    let described = operations().router;
    let router = described
        .route("/healthz", on(MethodFilter::GET, health::alive))
        .route("/readyz", on(MethodFilter::GET, health::ready))
        .route("/metrics", on(MethodFilter::GET, metrics::metrics))
        .route("/swarm", on(MethodFilter::POST, locust::swarm))
        .route("/stop", on(MethodFilter::GET.or(MethodFilter::POST), locust::stop))
        .route("/stats/requests", on(MethodFilter::GET, locust::stats))
        .route("/", on(MethodFilter::GET, page::index))
        .route("/assets/{name}", on(MethodFilter::GET, page::asset))
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_so);
    router.layer(from_fn_with_state(Arc::clone(edge), gate::gate)).with_state(Arc::clone(edge))
}

async fn nothing_here() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "missing", "nothing is here; /api/v1/openapi.json lists what is")
}

async fn not_so() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "invalid", "this path is not asked with this method")
}
