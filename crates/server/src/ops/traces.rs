//! Traces: one span per sampled request, sent to an OTLP collector. Only when the configuration names one.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use keywright_domain::{entropy::random_bytes, time::Clock as _};
use opentelemetry::{
    Context, KeyValue,
    trace::{
        Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
        TraceState, Tracer as _, TracerProvider as _,
    },
};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};

use crate::{
    config::Telemetry,
    failure::{Exit, Failure},
    system::{SystemClock, SystemEntropy},
};

/// Longest time to hand over a batch of spans.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Records and sends spans.
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    sample_percent: u8,
}

/// The caller's span, if it told us of one (W3C Trace Context).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parent(SpanContext);

impl Traces {
    /// Starts sending, if a collector is named.
    pub(crate) fn start(telemetry: &Telemetry) -> Result<Option<Self>, Failure> {
        let Some(endpoint) = &telemetry.otlp_endpoint else { return Ok(None) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new())
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", endpoint.as_str()))
            .with_timeout(EXPORT_TIMEOUT)
            .build()
            .map_err(|error| Failure::new(Exit::Config, format!("telemetry.otlp_endpoint: {error}")))?;
        let resource = Resource::builder().with_service_name(telemetry.service_name.clone()).build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            // Sampled by us, before anything is allocated.
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(resource)
            .build();
        let tracer = provider.tracer("keywright");
        let sample_percent = u8::try_from(telemetry.sample_percent.get()).expect("at most 100");
        Ok(Some(Self { provider, tracer, sample_percent }))
    }

    /// Records a request that was just answered. A caller who samples decides for us.
    pub(super) fn record(
        &self,
        parent: Option<&Parent>,
        (method, route): (&Method, &str),
        status: StatusCode,
        request_id: &str,
        duration_ns: u64,
    ) {
        let is_sampled = match parent {
            Some(parent) => parent.0.is_sampled(),
            None => random_bytes::<1>(&SystemEntropy)[0] % 100 < self.sample_percent,
        };
        if !is_sampled {
            return;
        }
        let now_ms = u64::try_from(SystemClock.now().unix_ms()).unwrap_or(0);
        let ended = UNIX_EPOCH + Duration::from_millis(now_ms);
        let started = ended - Duration::from_nanos(duration_ns);
        let context = parent
            .map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent.0.clone()));
        let mut span = self
            .tracer
            .span_builder(format!("{method} {route}"))
            .with_kind(SpanKind::Server)
            .with_start_time(started)
            .with_attributes([
                KeyValue::new("http.request.method", method.to_string()),
                KeyValue::new("http.route", route.to_owned()),
                KeyValue::new("http.response.status_code", i64::from(status.as_u16())),
                KeyValue::new("keywright.request_id", request_id.to_owned()),
            ])
            .start_with_context(&self.tracer, &context);
        if status.is_server_error() {
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(ended);
    }

    /// Sends what is left.
    pub(crate) fn stop(&self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!(%error, "the last traces were not delivered");
        }
    }
}

impl Parent {
    /// Reads `traceparent`; anything else than its exact form is as good as none.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get("traceparent")?.to_str().ok()?;
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_form = version == "00"
            && trace.len() == 32
            && span.len() == 16
            && flags.len() == 2
            && parts.next().is_none();
        if !is_form {
            return None;
        }
        let context = SpanContext::new(
            TraceId::from_hex(trace).ok()?,
            SpanId::from_hex(span).ok()?,
            TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
            true,
            TraceState::NONE,
        );
        context.is_valid().then_some(Self(context))
    }
}

/// Sends batches from the exporter's own thread, so blocking is right.
#[derive(Debug)]
struct Client(ureq::Agent);

impl Client {
    fn new() -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(EXPORT_TIMEOUT))
            .http_status_as_error(false)
            .build();
        Self(config.into())
    }
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let request = http::Request::from_parts(parts, body.to_vec());
        let (parts, mut body) = self.0.run(request)?.into_parts();
        let bytes = body.read_to_vec()?;
        Ok(http::Response::from_parts(parts, Bytes::from(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_traceparent_is_taken() {
        let parse = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", text.parse().unwrap());
            Parent::of(&headers).map(|parent| parent.0.is_sampled())
        };
        let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        assert_eq!(parse(&format!("00-{trace}-{span}-01")), Some(true));
        assert_eq!(parse(&format!("00-{trace}-{span}-00")), Some(false));
        for bad in [
            "",
            "00",
            &format!("01-{trace}-{span}-01"),
            &format!("00-{trace}-{span}-01-x"),
            &format!("00-{span}-{trace}-01"),
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse(&format!("00-{}-{span}-01", "0".repeat(32))), None);
    }
}
