//! Where a request goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::http::{HeaderMap, Uri};
use controller_core::spec::LogSpec;

use super::home::{Backend, Routes};
use super::meters::{Counter, Meters};
use super::shadow::Shadowed;

/// Multiplied by this, numbers that follow each other lie evenly over all (Knuth 1998, The Art of Computer Programming 3,
/// section 6.4: the golden ratio).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// All models, as they were read last.
#[derive(Debug, Default)]
pub(super) struct Table {
    models: Vec<Entry>,
}

/// A model.
#[derive(Debug)]
struct Entry {
    routes: Routes,
    servers: Vec<Server>,
    /// Requests so far.
    turn: Arc<AtomicU64>,
    /// Which of them are kept.
    sampled: Option<Arc<Sampled>>,
    /// Who gets copies of them.
    shadowed: Option<Arc<Shadowed>>,
}

/// A server with a share.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// Name of the deployment.
    pub(super) name: String,
    /// Where it listens.
    pub(super) address: String,
    /// What it has answered.
    pub(super) counter: Arc<Counter>,
    /// Where it speaks gRPC.
    grpc: Option<String>,
    weight: u32,
}

/// Which requests of a model are kept.
#[derive(Debug)]
pub(super) struct Sampled {
    /// Namespace of the model.
    pub(super) namespace: String,
    /// The model.
    pub(super) model: String,
    /// Their share, for how long, and without what.
    pub(super) log: LogSpec,
}

impl Sampled {
    /// Whether a request of this id is one of them.
    pub(super) fn has(&self, id: &str) -> bool {
        spread(id.as_bytes()) as f64 <= self.log.share() * u64::MAX as f64
    }
}

/// Where a request may go.
#[derive(Debug)]
pub(super) enum Found {
    /// To the first of these; to the next, if that one cannot be reached. And how much of the path, its namespace, is not
    /// for them; which requests are kept; and who gets a copy of this one.
    Servers(Vec<Server>, usize, Option<Arc<Sampled>>, Option<Arc<Shadowed>>),
    /// No version of the model is served.
    Nobody(String),
    /// There is no such model.
    Unknown,
}

impl Table {
    /// The table of these routes; turns go on from the one before.
    pub(super) fn new(routes: &[Routes], before: &Self, meters: &Meters) -> Self {
        let entry = |routes: &Routes| {
            let (namespace, model) = (&routes.namespace, &routes.model);
            let there = before.models.iter().find(|entry| entry.routes.path == routes.path);
            let with = |backend: &Backend, counter: Arc<Counter>| Server {
                name: backend.name.clone(),
                address: backend.address.clone(),
                counter,
                grpc: backend.grpc.clone(),
                weight: backend.weight,
            };
            let server = |backend: &Backend| with(backend, meters.of(namespace, model, &backend.name));
            let shadowed = |backend: &Backend| {
                let server = with(backend, meters.of_copies(namespace, model, &backend.name));
                Arc::new(Shadowed { server, compare: routes.compare.clone().unwrap_or_default() })
            };
            Entry {
                routes: routes.clone(),
                servers: routes.backends.iter().filter(|b| b.weight > 0).map(server).collect(),
                turn: there.map(|entry| Arc::clone(&entry.turn)).unwrap_or_default(),
                sampled: routes.log.as_ref().map(|log| {
                    Arc::new(Sampled { namespace: namespace.clone(), model: model.clone(), log: log.clone() })
                }),
                shadowed: routes.backends.iter().find(|backend| backend.shadow).map(shadowed),
            }
        };
        Self { models: routes.iter().map(entry).collect() }
    }

    /// Whether it was made of these routes.
    pub(super) fn is_of(&self, routes: &[Routes]) -> bool {
        self.models.iter().map(|entry| &entry.routes).eq(routes)
    }

    /// Namespace, model and generation of all.
    pub(super) fn generations(&self) -> Vec<(String, String, u64)> {
        let of = |entry: &Entry| {
            let Routes { namespace, model, generation, .. } = &entry.routes;
            (namespace.clone(), model.clone(), *generation)
        };
        self.models.iter().map(of).collect()
    }

    /// Where a request goes.
    pub(super) fn find(&self, uri: &Uri, headers: &HeaderMap) -> Found {
        let is_of = |entry: &&Entry| {
            let rest = uri.path().strip_prefix(entry.routes.path.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let Some(entry) = self.models.iter().find(is_of) else { return Found::Unknown };
        let Some(servers) = entry.in_turn(entry.servers.clone(), headers) else {
            return Found::Nobody(entry.routes.model.clone());
        };
        let own = "/v2/models/".len() + entry.routes.model.len();
        // Only questions are copied; whoever asks whether a server is ready is no part of the data.
        let is_question = uri.path().ends_with("/infer");
        let sampled = entry.sampled.clone().filter(|_| is_question);
        let shadowed = entry.shadowed.clone().filter(|_| is_question);
        Found::Servers(servers, entry.routes.path.len().saturating_sub(own), sampled, shadowed)
    }

    /// Where a call of gRPC goes, with the addresses at which servers speak it: one that names no model to the only one
    /// that has such a server.
    pub(super) fn find_grpc(&self, namespace: &str, model: Option<&str>, headers: &HeaderMap) -> Found {
        let calls = |server: &Server| Some(Server { address: server.grpc.clone()?, ..server.clone() });
        let found = if let Some(model) = model {
            let is_named =
                |entry: &&Entry| entry.routes.model == model && entry.routes.namespace == namespace;
            self.models.iter().find(is_named)
        } else {
            let mut all = self.models.iter().filter(|entry| entry.servers.iter().any(|s| s.grpc.is_some()));
            all.next().filter(|_| all.next().is_none())
        };
        let Some(entry) = found else { return Found::Unknown };
        match entry.in_turn(entry.servers.iter().filter_map(calls).collect(), headers) {
            Some(servers) => Found::Servers(servers, 0, None, None),
            None => Found::Nobody(entry.routes.model.clone()),
        }
    }
}

impl Entry {
    /// These servers with the one first whose turn it is; `None` without a share.
    fn in_turn(&self, mut servers: Vec<Server>, headers: &HeaderMap) -> Option<Vec<Server>> {
        let all: u64 = servers.iter().map(|server| u64::from(server.weight)).sum();
        if all == 0 {
            return None;
        }
        let sticky = self.routes.sticky.as_ref().and_then(|name| headers.get(name.as_str()));
        let point = match sticky {
            Some(value) => spread(value.as_bytes()),
            None => self.turn.fetch_add(1, Relaxed).wrapping_mul(GOLDEN),
        };
        // As a number from 0 to below the sum of the shares.
        let point = ((u128::from(point) * u128::from(all)) >> 64) as u64;
        // The newest lies at the low end: whoever is in its share stays there when that grows.
        let mut sum = 0;
        let chosen = servers.iter().position(|server| {
            sum += u64::from(server.weight);
            point < sum
        });
        servers.swap(0, chosen.unwrap_or(0));
        Some(servers)
    }
}

/// A text as a number, evenly over all: FNV-1a (Fowler, Noll and Vo), spread once more.
fn spread(text: &[u8]) -> u64 {
    let hash = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ hash >> 32).wrapping_mul(GOLDEN)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn table(shares: &[(&str, u32)], sticky: Option<&str>) -> Table {
        let backend = |(name, weight): &(&str, u32)| Backend {
            name: (*name).into(),
            address: format!("{name}:1"),
            weight: *weight,
            ..Backend::default()
        };
        let routes = Routes {
            model: "digits".into(),
            path: "/v2/models/digits".into(),
            sticky: sticky.map(str::to_owned),
            backends: shares.iter().map(backend).collect(),
            ..Routes::default()
        };
        Table::new(&[routes], &Table::default(), &Meters::default())
    }

    fn first(table: &Table, headers: &HeaderMap) -> String {
        match table.find(&Uri::from_static("/v2/models/digits/infer"), headers) {
            Found::Servers(servers, ..) => servers[0].name.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_gets_its_share_almost_exactly() {
        let table = table(&[("old", 95), ("new", 5)], None);
        let new = (0..1000).filter(|_| first(&table, &HeaderMap::new()) == "new").count();
        assert!((49..=51).contains(&new), "{new}");
    }

    #[test]
    fn whoever_is_in_a_share_stays_in_it_when_it_grows() {
        let user = |i: usize| {
            let value = HeaderValue::from_str(&format!("user-{i}")).unwrap();
            HeaderMap::from_iter([("x-user".parse().unwrap(), value)])
        };
        let of = |share: u32| {
            let table = table(&[("new", share), ("old", 100 - share)], Some("x-user"));
            (0..1000).filter(|i| first(&table, &user(*i)) == "new").collect::<Vec<_>>()
        };
        let mut before: Vec<usize> = Vec::new();
        for share in [10, 40, 50, 60] {
            let now = of(share);
            let wanted = 10 * share as usize;
            assert!(now.len().abs_diff(wanted) <= 60, "{share} %: {}", now.len());
            assert!(before.iter().all(|i| now.contains(i)), "{share} %");
            before = now;
        }
    }

    #[test]
    fn the_share_of_requests_that_is_kept_is_drawn_by_their_ids() {
        let log = LogSpec { sample: Some(0.1), ..LogSpec::default() };
        let sampled = Sampled { namespace: String::new(), model: String::new(), log };
        let kept = (0..2000).filter(|i| sampled.has(&format!("request-{i}"))).count();
        assert!((150..=250).contains(&kept), "{kept}");
        let all = Sampled { log: LogSpec { sample: Some(1.0), ..LogSpec::default() }, ..sampled };
        assert!((0..2000).all(|i| all.has(&i.to_string())));
    }

    #[test]
    fn servers_are_asked_without_the_namespace() {
        let routes = Routes {
            namespace: "team".into(),
            model: "digits".into(),
            path: "/team/v2/models/digits".into(),
            backends: vec![Backend {
                name: "one".into(),
                address: "one:1".into(),
                weight: 100,
                ..Backend::default()
            }],
            ..Routes::default()
        };
        let table = Table::new(&[routes], &Table::default(), &Meters::default());
        let found = table.find(&Uri::from_static("/team/v2/models/digits/infer"), &HeaderMap::new());
        let Found::Servers(_, skip, ..) = found else { panic!("{found:?}") };
        assert_eq!(&"/team/v2/models/digits/infer"[skip..], "/v2/models/digits/infer");
    }

    #[test]
    fn calls_go_to_servers_that_speak_grpc() {
        let backend = |name: &str, grpc: Option<&str>| Backend {
            name: name.into(),
            address: format!("{name}:1"),
            weight: 50,
            grpc: grpc.map(str::to_owned),
            ..Backend::default()
        };
        let routes = |model: &str, backends: Vec<Backend>| Routes {
            namespace: "default".into(),
            model: model.into(),
            path: format!("/v2/models/{model}"),
            backends,
            ..Routes::default()
        };
        let all = [
            routes("digits", vec![backend("old", None), backend("new", Some("new:2"))]),
            routes("letters", vec![backend("other", None)]),
        ];
        let table = Table::new(&all, &Table::default(), &Meters::default());
        for model in [Some("digits"), None] {
            let found = table.find_grpc("default", model, &HeaderMap::new());
            let Found::Servers(servers, ..) = found else { panic!("{found:?}") };
            let addresses: Vec<&str> = servers.iter().map(|server| server.address.as_str()).collect();
            assert_eq!(addresses, ["new:2"]);
        }
        let find = |namespace: &str, model| table.find_grpc(namespace, Some(model), &HeaderMap::new());
        assert!(matches!(find("default", "letters"), Found::Nobody(model) if model == "letters"));
        assert!(matches!(find("team", "digits"), Found::Unknown));
    }

    #[test]
    fn other_models_and_models_without_a_server_are_told_apart() {
        let table = table(&[("old", 0)], None);
        let find = |path: &'static str| table.find(&Uri::from_static(path), &HeaderMap::new());
        assert!(matches!(find("/v2/models/digits"), Found::Nobody(model) if model == "digits"));
        assert!(matches!(find("/v2/models/digits2/infer"), Found::Unknown));
        assert!(matches!(find("/v2/models"), Found::Unknown));
    }
}
