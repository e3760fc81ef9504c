//! Tokens of service accounts, checked with the keys by which the cluster signs them: that takes no right that a Role could
//! not give, other than to ask the cluster itself. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use controller_core::time::Timestamp;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::Value;

/// How much clocks may differ, in seconds.
const LEEWAY: i64 = 60;

/// The pod that a token was given to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bearer {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) uid: String,
}

/// Keys of a cluster, as `/openid/v1/jwks` lists them.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Keys {
    keys: Vec<Key>,
}

/// A key: `n` and `e` of RSA, `x` and `y` of a curve.
#[derive(Debug, Deserialize)]
struct Key {
    #[serde(default)]
    kid: String,
    kty: String,
    #[serde(default)]
    crv: String,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
    #[serde(default)]
    x: String,
    #[serde(default)]
    y: String,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: String,
}

/// What is read of a token.
#[derive(Deserialize)]
struct Claims {
    aud: Value,
    exp: i64,
    #[serde(default)]
    nbf: i64,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Option<Bound>,
}

#[derive(Deserialize)]
struct Bound {
    namespace: String,
    pod: Option<Object>,
}

#[derive(Deserialize)]
struct Object {
    name: String,
    uid: String,
}

impl Keys {
    /// Whether one of them has signed a token, as far as its head says; another list of keys may have another.
    pub(crate) fn may_know(&self, token: &str) -> bool {
        let header = token.split('.').next().and_then(part::<Header>);
        header.is_some_and(|header| self.keys.iter().any(|key| key.kid == header.kid))
    }

    /// The pod that a token was given to, if it is good for this audience now.
    ///
    /// # Errors
    /// If it is not; why.
    pub(crate) fn bearer(&self, token: &str, audience: &str, now: Timestamp) -> Result<Bearer, String> {
        let (signed, signature) = token.rsplit_once('.').ok_or("it is no token")?;
        let (header, claims) = signed.split_once('.').ok_or("it is no token")?;
        let header: Header = part(header).ok_or("its head makes no sense")?;
        let key =
            self.keys.iter().find(|key| key.kid == header.kid).ok_or("the cluster has no key of its name")?;
        let signature = bytes(signature).ok_or("its signature makes no sense")?;
        if !key.has_signed(&header.alg, signed.as_bytes(), &signature) {
            return Err("the cluster has not signed it".into());
        }
        let claims: Claims = part(claims).ok_or("what it claims makes no sense")?;
        let seconds = now.0 / 1_000_000;
        if claims.exp + LEEWAY < seconds || claims.nbf > seconds + LEEWAY {
            return Err("its time is over, or has not begun".into());
        }
        let is_for = |of: &Value| {
            of == audience || of.as_array().is_some_and(|list| list.iter().any(|of| of == audience))
        };
        if !is_for(&claims.aud) {
            return Err(format!("it is none for `{audience}`"));
        }
        let bound = claims.kubernetes.and_then(|bound| Some((bound.namespace, bound.pod?)));
        let (namespace, pod) = bound.ok_or("it is no pod's")?;
        Ok(Bearer { namespace, pod: pod.name, uid: pod.uid })
    }
}

impl Key {
    fn has_signed(&self, algorithm: &str, text: &[u8], signature: &[u8]) -> bool {
        match (algorithm, self.kty.as_str(), self.crv.as_str()) {
            ("RS256", "RSA", _) => {
                let (Some(n), Some(e)) = (bytes(&self.n), bytes(&self.e)) else { return false };
                let key = RsaPublicKeyComponents { n, e };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, text, signature).is_ok()
            }
            ("ES256", "EC", "P-256") => {
                let (Some(x), Some(y)) = (bytes(&self.x), bytes(&self.y)) else { return false };
                // An uncompressed point.
                let point = [&[4][..], &x, &y].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(text, signature).is_ok()
            }
            _ => false,
        }
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn part<T: for<'a> Deserialize<'a>>(text: &str) -> Option<T> {
    serde_json::from_slice(&bytes(text)?).ok()
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use serde_json::json;

    use super::*;

    /// A cluster that signs.
    struct Cluster {
        pair: EcdsaKeyPair,
        random: SystemRandom,
    }

    impl Cluster {
        fn new() -> Self {
            let random = SystemRandom::new();
            let way = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let document = EcdsaKeyPair::generate_pkcs8(way, &random).unwrap();
            Self { pair: EcdsaKeyPair::from_pkcs8(way, document.as_ref(), &random).unwrap(), random }
        }

        fn keys(&self) -> Keys {
            let point = self.pair.public_key().as_ref();
            let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            let key = json!({"kid": "k", "kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..])});
            serde_json::from_value(json!({"keys": [key]})).unwrap()
        }

        fn sign(&self, header: &Value, claims: &Value) -> String {
            let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let signed = format!("{}.{}", text(header), text(claims));
            let signature = self.pair.sign(&self.random, signed.as_bytes()).unwrap();
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
        }
    }

    fn claims() -> Value {
        let pod = json!({"name": "p", "uid": "u"});
        json!({"aud": ["cairn.dev"], "exp": 1000, "nbf": 100, "kubernetes.io": {"namespace": "ns1", "pod": pod}})
    }

    #[test]
    fn a_token_that_the_cluster_has_signed_is_its_pod_s_for_its_time() {
        let cluster = Cluster::new();
        let (keys, header) = (cluster.keys(), json!({"alg": "ES256", "kid": "k"}));
        let at = |claims: &Value, seconds: i64| {
            keys.bearer(&cluster.sign(&header, claims), "cairn.dev", Timestamp(seconds * 1_000_000))
        };
        let known = Bearer { namespace: "ns1".into(), pod: "p".into(), uid: "u".into() };
        assert_eq!(at(&claims(), 500), Ok(known.clone()));
        assert_eq!(at(&claims(), 1000 + LEEWAY), Ok(known));
        for seconds in [1001 + LEEWAY, 99 - LEEWAY] {
            assert!(at(&claims(), seconds).unwrap_err().contains("its time"));
        }
        let with = |word: &str, value: Value| {
            let mut claims = claims();
            claims[word] = value;
            at(&claims, 500).unwrap_err()
        };
        assert!(with("aud", json!("https://kubernetes.default.svc")).contains("none for `cairn.dev`"));
        assert!(with("kubernetes.io", json!({"namespace": "ns1"})).contains("no pod's"));
    }

    #[test]
    fn what_somebody_else_has_signed_or_nobody_is_no_token() {
        let (cluster, other) = (Cluster::new(), Cluster::new());
        let keys = cluster.keys();
        let look = |token: &str| keys.bearer(token, "cairn.dev", Timestamp(500_000_000)).unwrap_err();
        let header = json!({"alg": "ES256", "kid": "k"});
        assert!(look(&other.sign(&header, &claims())).contains("not signed"));
        for alg in ["none", "HS256", "RS256"] {
            let token = cluster.sign(&json!({"alg": alg, "kid": "k"}), &claims());
            assert!(look(&token).contains("not signed"), "{alg}");
        }
        let unknown = cluster.sign(&json!({"alg": "ES256", "kid": "l"}), &claims());
        assert!(look(&unknown).contains("no key") && !keys.may_know(&unknown));
        assert!(keys.may_know(&cluster.sign(&header, &claims())));
        for token in ["", "a.b", "a.b.c", "...."] {
            look(token);
        }
    }
}
