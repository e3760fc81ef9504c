//! What a question costs: Katib's `GetSuggestions` with a whole history against a bare server that only decodes the same
//! bytes, and `cairn.v1.Ask` on a prefix that is held.
//!
//! `taskset -c 0 cargo bench -p suggest --bench katib`: one core, as the figures are meant. Both servers are reached
//! over a loopback socket, and by a client that sends bytes made beforehand.

#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use prost::Message as _;
use proto::cairn as ours;
use proto::cairn::search_client::SearchClient;
use proto::katib as wire;
use proto::katib::suggestion_server::{Suggestion, SuggestionServer};
use proto::katib::trial_status::TrialConditionType;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::Bytes;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};

const TRIALS: usize = 1000;
const PARAMETERS: usize = 10;
/// Questions before and under the clock.
const WARM: usize = 20;
const ROUNDS: usize = 200;
const MAX_MESSAGE: usize = 256 << 20;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut servers = JoinSet::new();
        let bare = SuggestionServer::new(Bare).max_decoding_message_size(MAX_MESSAGE);
        let bare = serve(Routes::new(bare), &mut servers).await;
        let cairn = serve(suggest::routes(None).await, &mut servers).await;
        println!("{TRIALS} finished trials, {PARAMETERS} parameters, {} bytes", request("random").len());
        let decoded = get_suggestions(bare, &request("random")).await;
        println!("bare server, decoding alone           {:7.3} ms", millis(decoded));
        for (algorithm, limit) in [("random", 1.7), ("sobol", 1.7), ("tpe", 4.0)] {
            let bytes = request(algorithm);
            let (base, took) = interleaved(bare, cairn, &bytes).await;
            let ratio = took.as_secs_f64() / base.as_secs_f64();
            let took = millis(took);
            println!("GetSuggestions {algorithm:22} {took:7.3} ms, {ratio:.2} times bare (at most {limit})");
        }
        for (algorithm, limit) in [("random", 1.0), ("sobol", 1.0), ("tpe", 3.0)] {
            let took = millis(ask(cairn, algorithm).await);
            println!("Ask on a warm prefix {algorithm:16} {took:7.3} ms (at most {limit})");
        }
    });
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The tenth part that went fastest, at its slowest: what others do on the machine only adds.
fn undisturbed(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 10]
}

async fn serve(routes: Routes, servers: &mut JoinSet<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let served = Server::builder().add_routes(routes).serve_with_incoming(incoming);
    servers.spawn(async move { served.await.expect("served") });
    address
}

async fn connect(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}")).expect("an address").connect().await.expect("connected")
}

/// A server that does nothing but decode.
struct Bare;

#[tonic::async_trait]
impl Suggestion for Bare {
    async fn get_suggestions(
        &self,
        request: Request<wire::GetSuggestionsRequest>,
    ) -> Result<Response<wire::GetSuggestionsReply>, Status> {
        std::hint::black_box(request.get_ref());
        Ok(Response::new(wire::GetSuggestionsReply::default()))
    }

    async fn validate_algorithm_settings(
        &self,
        _: Request<wire::ValidateAlgorithmSettingsRequest>,
    ) -> Result<Response<wire::ValidateAlgorithmSettingsReply>, Status> {
        Ok(Response::new(wire::ValidateAlgorithmSettingsReply {}))
    }
}

/// Sends and receives bytes as they are.
#[derive(Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = usize;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;
    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put(buffer, item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = usize;
    type Error = Status;
    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<usize>, Status> {
        let n = bytes::Buf::remaining(buffer);
        bytes::Buf::advance(buffer, n);
        Ok(Some(n))
    }
}

async fn question(client: &mut Grpc<Channel>, bytes: &Bytes) -> Duration {
    let path = PathAndQuery::from_static("/api.v1.beta1.Suggestion/GetSuggestions");
    let began = Instant::now();
    client.ready().await.expect("ready");
    client.unary(Request::new(bytes.clone()), path, Raw).await.expect("an answer");
    began.elapsed()
}

async fn get_suggestions(address: SocketAddr, bytes: &Bytes) -> Duration {
    let mut client = Grpc::new(connect(address).await);
    let mut times = Vec::new();
    for round in 0..WARM + ROUNDS {
        let took = question(&mut client, bytes).await;
        times.extend((round >= WARM).then_some(took));
    }
    undisturbed(times)
}

/// Both servers in turns, so that a machine that slows down slows both.
async fn interleaved(bare: SocketAddr, cairn: SocketAddr, bytes: &Bytes) -> (Duration, Duration) {
    let mut clients = (Grpc::new(connect(bare).await), Grpc::new(connect(cairn).await));
    let (mut base, mut took) = (Vec::new(), Vec::new());
    for round in 0..WARM + ROUNDS {
        let pair = (question(&mut clients.0, bytes).await, question(&mut clients.1, bytes).await);
        if round >= WARM {
            base.push(pair.0);
            took.push(pair.1);
        }
    }
    (undisturbed(base), undisturbed(took))
}

/// A number in (0, 1) that looks drawn.
fn drawn(i: usize, j: usize) -> f64 {
    ((i * PARAMETERS + j + 1) as f64 * 0.618_033_988_749_894_9).fract()
}

fn request(algorithm: &str) -> Bytes {
    let parameter = |j: usize| wire::ParameterSpec {
        name: format!("parameter-{j}"),
        parameter_type: wire::ParameterType::Double.into(),
        feasible_space: Some(wire::FeasibleSpace { min: "0".into(), max: "1".into(), ..Default::default() }),
    };
    let spec = wire::ExperimentSpec {
        parameter_specs: Some(wire::experiment_spec::ParameterSpecs {
            parameters: (0..PARAMETERS).map(parameter).collect(),
        }),
        objective: Some(objective()),
        algorithm: Some(wire::AlgorithmSpec {
            algorithm_name: algorithm.into(),
            algorithm_settings: Vec::new(),
        }),
        parallel_trial_count: 3,
        max_trial_count: 2000,
        ..Default::default()
    };
    let request = wire::GetSuggestionsRequest {
        experiment: Some(wire::Experiment { name: "benchmark".into(), spec: Some(spec) }),
        trials: (0..TRIALS).map(trial).collect(),
        current_request_number: 1,
        total_request_number: TRIALS as i32 + 1,
    };
    request.encode_to_vec().into()
}

fn objective() -> wire::ObjectiveSpec {
    wire::ObjectiveSpec {
        r#type: wire::ObjectiveType::Maximize.into(),
        goal: 0.99,
        objective_metric_name: "accuracy".into(),
        additional_metric_names: vec!["loss".into()],
    }
}

fn trial(i: usize) -> wire::Trial {
    let assignment = |j: usize| wire::ParameterAssignment {
        name: format!("parameter-{j}"),
        value: drawn(i, j).to_string(),
    };
    let metric = |name: &str, j: usize| wire::Metric { name: name.into(), value: drawn(i, j).to_string() };
    let time = |minute: usize| format!("2026-01-01T{:02}:{:02}:{:02}Z", minute / 60, minute % 60, i * 7 % 60);
    wire::Trial {
        name: format!("benchmark-{:08x}", (i as u32).wrapping_mul(0x9e37_79b1)),
        spec: Some(wire::TrialSpec {
            objective: Some(objective()),
            parameter_assignments: Some(wire::trial_spec::ParameterAssignments {
                assignments: (0..PARAMETERS).map(assignment).collect(),
            }),
            labels: [].into(),
        }),
        status: Some(wire::TrialStatus {
            start_time: time(i),
            completion_time: time(i + 5),
            condition: TrialConditionType::Succeeded.into(),
            observation: Some(wire::Observation { metrics: vec![metric("accuracy", 0), metric("loss", 1)] }),
        }),
    }
}

async fn ask(address: SocketAddr, algorithm: &str) -> Duration {
    let mut client = SearchClient::new(connect(address).await).max_encoding_message_size(MAX_MESSAGE);
    let study = study(algorithm);
    let load =
        ours::LoadRequest { study: Some(study.clone()), events: (0..TRIALS).flat_map(events).collect() };
    let loaded = client.load(tokio_stream::iter([load])).await.expect("loaded").into_inner();
    let mut times = Vec::new();
    for round in 0..WARM + ROUNDS {
        let request = ours::AskRequest {
            study: Some(study.clone()),
            prefix: loaded.prefix.clone(),
            events: Vec::new(),
            running: Vec::new(),
            first_idx: TRIALS as u64,
            n: 1,
            ..Default::default()
        };
        let began = Instant::now();
        client.ask(request).await.expect("an answer");
        times.extend((round >= WARM).then(|| began.elapsed()));
    }
    undisturbed(times)
}

fn study(algorithm: &str) -> ours::Study {
    let domain = ours::FloatDomain { min: 0.0, max: 1.0, step: None, distribution: 0 };
    let parameter = |j: usize| ours::Parameter {
        name: format!("parameter-{j}"),
        domain: Some(ours::parameter::Domain::Float(domain)),
        ..Default::default()
    };
    ours::Study {
        name: "benchmark".into(),
        parameters: (0..PARAMETERS).map(parameter).collect(),
        objectives: vec![ours::Objective { metric: "accuracy".into(), maximize: true, goal: None }],
        algorithm: Some(ours::Algorithm { name: algorithm.into(), settings: [].into() }),
        parallel: 3,
        ..Default::default()
    }
}

fn events(i: usize) -> [ours::HistoryEvent; 2] {
    use ours::history_event::Event;
    let value = |j: usize| ours::Value { kind: Some(ours::value::Kind::Float(drawn(i, j))) };
    let suggestion = ours::Suggestion { values: (0..PARAMETERS).map(value).collect(), ..Default::default() };
    let started = Event::Started(ours::Trial { idx: i as u64, suggestion: Some(suggestion) });
    let ended = Event::Ended(ours::Ended {
        trial: i as u64,
        outcome: ours::ended::Outcome::Succeeded.into(),
        costs: vec![drawn(i, 0)],
    });
    [started, ended].map(|event| ours::HistoryEvent { event: Some(event) })
}
