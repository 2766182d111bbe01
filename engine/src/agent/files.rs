//! From a plan as it travels to one that can be read here.
//!
//! What it is: the fetching of what this node lacks, and the surroundings in which the plan's words are read: its variables
//! and files, and nothing else of this process. What it is not: a reader of plans.

use std::collections::BTreeMap;
use std::sync::Arc;

use command::Carried;
use verdict::ExitCode;
use wire::{Refusal, Spec};

use super::link::Client;
use super::state::State;

/// Fetches the files of a plan that are not here yet.
///
/// # Errors
/// A file is not to be had, or is not what was announced.
pub(super) async fn gather(
    spec: &Spec,
    state: Arc<State>,
    client: Option<Client>,
) -> Result<Carried, Refusal> {
    let mut files = BTreeMap::new();
    for (path, file) in &spec.files {
        if !state.has(file) {
            let fetched = match client.clone() {
                Some(mut client) => client.fetch(&state, *file).await,
                None => Err("there is no connection".to_owned()),
            };
            fetched.map_err(|error| Refusal {
                exit_code: ExitCode::Environment.code(),
                message: format!("{} cannot be fetched from the coordinator: {error}", plan::quoted(path)),
            })?;
        }
        files.insert(path.clone(), state.place(file));
    }
    Ok(Carried { variables: spec.variables.clone(), files })
}
