//! One plugin call for each route in a batch: an instance serves one account and route, and is then
//! dropped.

use std::collections::HashMap;
use std::sync::Arc;

use dripline_plugin_host::{CallError, PluginError};

use super::routes::ReadyRoute;

/// The requests of one route, with their places in the batch.
pub(super) struct Group<Q> {
    pub(super) route: Arc<ReadyRoute>,
    pub(super) requests: Vec<Q>,
    places: Vec<usize>,
}

/// The answers to a batch, in its order.
pub(super) struct Answers<A, E = CallError>(Vec<Option<Result<A, E>>>);

/// Splits a batch by route.
pub(super) fn by_route<Q, A, E>(
    batch: Vec<(Arc<ReadyRoute>, Q)>,
) -> (Vec<Group<Q>>, Answers<A, E>) {
    let answers = std::iter::repeat_with(|| None).take(batch.len()).collect();
    let mut groups: Vec<Group<Q>> = Vec::new();
    let mut known: HashMap<*const ReadyRoute, usize> = HashMap::new();
    for (place, (route, request)) in batch.into_iter().enumerate() {
        let group = *known.entry(Arc::as_ptr(&route)).or_insert_with(|| {
            groups.push(Group { route, requests: Vec::new(), places: Vec::new() });
            groups.len() - 1
        });
        groups[group].requests.push(request);
        groups[group].places.push(place);
    }
    (groups, Answers(answers))
}

impl<Q> Group<Q> {
    /// Takes the requests, leaving what [`Answers::fill`] needs.
    pub(super) fn take(&mut self) -> Vec<Q> {
        std::mem::take(&mut self.requests)
    }
}

impl<A, E: From<PluginError>> Answers<A, E> {
    /// Puts the answers to a group's requests where they belong.
    pub(super) fn fill<Q>(&mut self, group: &Group<Q>, answers: Vec<Result<A, E>>) {
        for (place, answer) in group.places.iter().zip(answers) {
            self.0[*place] = Some(answer);
        }
    }

    /// All answers. One that the host did not give is an error of the host.
    pub(super) fn finish(self) -> Vec<Result<A, E>> {
        let missing = || Err(PluginError::HostStopped.into());
        self.0.into_iter().map(|answer| answer.unwrap_or_else(missing)).collect()
    }
}
