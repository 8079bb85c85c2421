//! The provider's keys (RFC 7517), and the check of a signature with one of them (RFC 7515, RFC 7518).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;

use crate::caps;

/// One key of a provider. Kinds and curves that are not known here stay unused.
#[derive(Clone, Debug, Deserialize)]
struct Key {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// The keys of a provider.
#[derive(Clone, Debug)]
pub(super) struct Keys(Vec<Key>);

/// The head of a token.
#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

/// Why a signature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    /// The token has not three parts, or its head cannot be read.
    #[error("the token cannot be read")]
    Unreadable,
    /// An algorithm that is not accepted, such as `none` or one with a shared secret.
    #[error("the token is signed by an algorithm that is not accepted")]
    Algorithm,
    /// None of the known keys. The provider may have a new one.
    #[error("the token is signed with a key that the provider does not show")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the signature is wrong")]
    Wrong,
}

/// How a signature is checked.
enum Check {
    Rsa(&'static RsaParameters),
    /// With the curve, and the length of a coordinate.
    Curve(&'static dyn VerificationAlgorithm, &'static str, usize),
    Edwards,
}

impl Check {
    fn of(algorithm: &str) -> Option<Self> {
        Some(match algorithm {
            "RS256" => Self::Rsa(&RSA_PKCS1_2048_8192_SHA256),
            "RS384" => Self::Rsa(&RSA_PKCS1_2048_8192_SHA384),
            "RS512" => Self::Rsa(&RSA_PKCS1_2048_8192_SHA512),
            "PS256" => Self::Rsa(&RSA_PSS_2048_8192_SHA256),
            "PS384" => Self::Rsa(&RSA_PSS_2048_8192_SHA384),
            "PS512" => Self::Rsa(&RSA_PSS_2048_8192_SHA512),
            "ES256" => Self::Curve(&ECDSA_P256_SHA256_FIXED, "P-256", 32),
            "ES384" => Self::Curve(&ECDSA_P384_SHA384_FIXED, "P-384", 48),
            "EdDSA" => Self::Edwards,
            _ => return None,
        })
    }

    fn fits(&self, key: &Key) -> bool {
        match self {
            Self::Rsa(_) => key.kty == "RSA",
            Self::Curve(_, curve, _) => key.kty == "EC" && key.crv.as_deref() == Some(curve),
            Self::Edwards => key.kty == "OKP" && key.crv.as_deref() == Some("Ed25519"),
        }
    }

    fn is_good(&self, key: &Key, message: &[u8], signature: &[u8]) -> bool {
        self.try_check(key, message, signature).is_some()
    }

    fn try_check(&self, key: &Key, message: &[u8], signature: &[u8]) -> Option<()> {
        let number = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        match self {
            Self::Rsa(parameters) => {
                let (modulus, exponent) = (number(&key.n)?, number(&key.e)?);
                let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
                let components = RsaPublicKeyComponents { n: &modulus[zeros..], e: &exponent };
                components.verify(parameters, message, signature).ok()
            }
            Self::Curve(algorithm, _, length) => {
                let (x, y) = (number(&key.x)?, number(&key.y)?);
                if x.len() != *length || y.len() != *length {
                    return None;
                }
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                UnparsedPublicKey::new(*algorithm, point).verify(message, signature).ok()
            }
            Self::Edwards => {
                UnparsedPublicKey::new(&ED25519, number(&key.x)?).verify(message, signature).ok()
            }
        }
    }
}

impl Keys {
    /// Reads a key set; keys that cannot be read are left out.
    ///
    /// # Errors
    /// A text for the log, when it is no key set.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        let set: Set = serde_json::from_slice(bytes).map_err(|error| format!("no key set: {error}"))?;
        let keys =
            set.keys.into_iter().take(caps::OIDC_KEYS_MAX).filter_map(|key| serde_json::from_value(key).ok());
        Ok(Self(keys.collect()))
    }

    /// The payload of a token in the compact form, once its signature is found good.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub(super) fn open(&self, token: &str) -> Result<Vec<u8>, SignatureError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(SignatureError::Unreadable)?;
        let (head, payload) = signed.split_once('.').ok_or(SignatureError::Unreadable)?;
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| SignatureError::Unreadable);
        let head: Head = serde_json::from_slice(&decode(head)?).map_err(|_| SignatureError::Unreadable)?;
        let check = Check::of(&head.alg).filter(|_| head.crit.is_none()).ok_or(SignatureError::Algorithm)?;
        let (payload, signature) = (decode(payload)?, decode(signature)?);
        let usable = |key: &&Key| {
            check.fits(key)
                && key.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
                && key.alg.as_ref().is_none_or(|algorithm| *algorithm == head.alg)
                && (head.kid.is_none() || key.kid == head.kid)
        };
        let mut candidates = self.0.iter().filter(usable).peekable();
        if candidates.peek().is_none() {
            return Err(SignatureError::UnknownKey);
        }
        if candidates.any(|key| check.is_good(key, signed.as_bytes(), &signature)) {
            Ok(payload)
        } else {
            Err(SignatureError::Wrong)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    // RFC 7515, appendices A.2 (RS256), A.3 (ES256); RFC 8037, appendix A.4 (EdDSA).
    const PAYLOAD: &str =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    const RSA_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR\
         T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2\
         R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h\
         4FRWyuXpoQ";
    const RSA_SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5\
         jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383\
         LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig\
         cN_IoypGlUPQGe77Rw";
    const EC_SIGNATURE: &str =
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

    fn keys() -> Keys {
        let set = json!({"keys": [
            {"kty": "RSA", "kid": "r", "use": "sig", "n": RSA_N, "e": "AQAB"},
            {"kty": "EC", "crv": "P-256", "kid": "e", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
             "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
            {"kty": "OKP", "crv": "Ed25519", "kid": "o", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
            {"kty": "new", "kid": "n"}, {"no": "key"},
        ]});
        Keys::read(set.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn vectors_of_the_standards() {
        let keys = keys();
        for (head, payload, signature) in [
            ("eyJhbGciOiJSUzI1NiJ9", PAYLOAD, RSA_SIGNATURE),
            ("eyJhbGciOiJFUzI1NiJ9", PAYLOAD, EC_SIGNATURE),
            (
                "eyJhbGciOiJFZERTQSJ9",
                "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
                "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
            ),
        ] {
            let token = format!("{head}.{payload}.{signature}");
            assert!(keys.open(&token).is_ok(), "{head}");
            let altered = format!("{head}.{payload}A.{signature}");
            assert!(keys.open(&altered).is_err(), "{head}");
            let (first, rest) = signature.split_at(1);
            let other = if first == "A" { "B" } else { "A" };
            assert_eq!(keys.open(&format!("{head}.{payload}.{other}{rest}")), Err(SignatureError::Wrong));
        }
    }

    #[test]
    fn what_must_not_count() {
        let keys = keys();
        let open = |head: serde_json::Value| {
            let head = URL_SAFE_NO_PAD.encode(head.to_string());
            keys.open(&format!("{head}.{PAYLOAD}.{RSA_SIGNATURE}"))
        };
        for algorithm in ["none", "None", "HS256", "RS1", ""] {
            assert_eq!(open(json!({"alg": algorithm})), Err(SignatureError::Algorithm), "{algorithm}");
        }
        assert_eq!(open(json!({"alg": "RS256", "crit": ["x"]})), Err(SignatureError::Algorithm));
        assert_eq!(open(json!({"alg": "RS256", "kid": "z"})), Err(SignatureError::UnknownKey));
        assert_eq!(
            open(json!({"alg": "RS256", "kid": "e"})),
            Err(SignatureError::UnknownKey),
            "of another kind"
        );
        assert_eq!(
            open(json!({"alg": "RS256", "kid": "r"})),
            Err(SignatureError::Wrong),
            "another head was signed"
        );
        for bad in ["", "a", "a.b", "a.b.c", "e30.e30.e30"] {
            assert_eq!(keys.open(bad), Err(SignatureError::Unreadable), "{bad}");
        }
        assert!(Keys::read(b"{}").is_err());
    }
}
