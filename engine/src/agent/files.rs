//! From a plan as it travels to one that can be read here.
//!
//! What it is: the fetching of what this node lacks, and the surroundings in which the plan's words are read: its variables
//! and files, and nothing else of this process. What it is not: a reader of plans.

use std::collections::BTreeMap;
use std::sync::Arc;

use command::Carried;
use tokio::sync::watch;
use verdict::ExitCode;
use wire::{FileRef, Refusal, Spec};

use super::link::{Client, FetchError};
use super::state::State;

/// Fetches the files of a plan that are not here yet, over whichever connection stands: one that ends meanwhile only puts
/// it off.
///
/// # Errors
/// A file is not to be had, or is not what was announced.
pub(super) async fn gather(
    spec: &Spec,
    state: Arc<State>,
    mut clients: watch::Receiver<Option<Client>>,
) -> Result<Carried, Refusal> {
    let mut files = BTreeMap::new();
    // What other plans needed has been read by now.
    state.keep_only(spec.files.values());
    for (path, file) in &spec.files {
        let lacks = |error: String| Refusal {
            exit_code: ExitCode::Environment.code(),
            message: format!("{} cannot be fetched from the coordinator: {error}", plan::quoted(path)),
        };
        if state.place(file).is_none() {
            fetch(*file, &state, &mut clients).await.map_err(lacks)?;
        }
        let place = state.place(file).ok_or_else(|| lacks("it changed meanwhile".to_owned()))?;
        files.insert(path.clone(), place);
    }
    Ok(Carried { variables: spec.variables.clone(), files })
}

/// Fetches one file, over as many connections as it takes.
async fn fetch(
    file: FileRef,
    state: &State,
    clients: &mut watch::Receiver<Option<Client>>,
) -> Result<(), String> {
    loop {
        let client = clients.borrow_and_update().clone();
        if let Some(mut client) = client {
            match client.fetch(state, file).await {
                Ok(()) => return Ok(()),
                Err(FetchError::Refused(reason)) => return Err(reason),
                Err(FetchError::Cut) => {}
            }
        }
        if clients.changed().await.is_err() {
            return Err("the node's process ends".to_owned());
        }
    }
}
