//! One span and two figures around every request to a provider: how long it took, what it cost. Names follow
//! OpenTelemetry's semantic conventions for generative AI.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use tidemill_chassis::clock::Stopwatch;
use tidemill_chassis::telemetry::metrics::{Histogram, KeyValue, Labels, StringValue, WORK, meter, seconds};
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};

use crate::{Completion, Delta, DeltaStream, Error, Provider, Request, Usage};

/// Upper bounds, in tokens, of what a request costs.
const TOKENS: [f64; 12] =
    [1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0];

/// How many models of one provider are told apart: requests may name any.
const MODELS: usize = 50;

/// What every request does here.
const CHAT: &str = "chat";

/// The model of a request that names none: the provider's configured one.
const DEFAULT_MODEL: &str = "default";

/// A provider under measure.
pub(crate) struct Measured {
    provider: Arc<dyn Provider>,
    figures: Figures,
}

impl Measured {
    /// Measures this provider.
    pub(crate) fn over(provider: Arc<dyn Provider>) -> Arc<dyn Provider> {
        let figures = Figures::of(provider.name());
        Arc::new(Self { provider, figures })
    }
}

#[async_trait]
impl Provider for Measured {
    fn name(&self) -> &str {
        self.provider.name()
    }

    async fn complete(&self, request: &Request) -> Result<Completion, Error> {
        let asked = self.figures.begin(request);
        let answer = self.provider.complete(request).instrument(asked.span.clone()).await;
        match &answer {
            Ok(answer) => asked.answered(&answer.model, &answer.usage),
            Err(error) => asked.failed(error),
        }
        answer
    }

    async fn stream(&self, request: &Request) -> Result<DeltaStream, Error> {
        let asked = self.figures.begin(request);
        let opened = self.provider.stream(request).instrument(asked.span.clone()).await;
        let stream = opened.inspect_err(|error| asked.failed(error))?;
        let watched = stream.inspect(move |item| match item {
            Ok(Delta::Done { model, usage, .. }) => asked.answered(model, usage),
            Err(error) => asked.failed(error),
            Ok(Delta::Text(_)) => {}
        });
        Ok(watched.boxed())
    }
}

/// The figures of one provider.
#[derive(Debug, Clone)]
struct Figures(Arc<Instruments>);

#[derive(Debug)]
struct Instruments {
    provider: StringValue,
    models: Labels,
    duration: Histogram<f64>,
    tokens: Histogram<u64>,
}

impl Figures {
    /// Those of the provider of this name.
    fn of(provider: &str) -> Self {
        let meter = meter("tidemill.llm");
        let description = "Time of one request to a provider.";
        Self(Arc::new(Instruments {
            provider: StringValue::from(Arc::<str>::from(provider)),
            models: Labels::at_most(MODELS),
            duration: seconds(&meter, "gen_ai.client.operation.duration", description, &WORK),
            tokens: meter
                .u64_histogram("gen_ai.client.token.usage")
                .with_unit("{token}")
                .with_description("Tokens of one request to a provider.")
                .with_boundaries(TOKENS.to_vec())
                .build(),
        }))
    }

    /// Begins a request.
    fn begin(&self, request: &Request) -> Asked {
        let model = request.model.as_deref().unwrap_or(DEFAULT_MODEL);
        let span = info_span!(
            "chat",
            otel.name = format!("{CHAT} {model}"),
            otel.kind = "client",
            otel.status_code = Empty,
            error.type = Empty,
            gen_ai.operation.name = CHAT,
            gen_ai.provider.name = self.0.provider.as_str(),
            gen_ai.request.model = model,
            gen_ai.response.model = Empty,
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
        );
        let attributes = [
            KeyValue::new("gen_ai.operation.name", CHAT),
            KeyValue::new("gen_ai.provider.name", self.0.provider.clone()),
            KeyValue::new("gen_ai.request.model", self.0.models.of(model)),
        ];
        Asked { span, attributes, begun: Stopwatch::start(), figures: self.clone() }
    }
}

/// A request on its way.
#[derive(Debug)]
struct Asked {
    span: Span,
    attributes: [KeyValue; 3],
    begun: Stopwatch,
    figures: Figures,
}

impl Asked {
    /// It was answered by this model, at this cost.
    fn answered(&self, model: &str, usage: &Usage) {
        self.span.record("gen_ai.response.model", model);
        self.span.record("gen_ai.usage.input_tokens", usage.input);
        self.span.record("gen_ai.usage.output_tokens", usage.output);
        self.figures.0.duration.record(self.begun.elapsed().as_secs_f64(), &self.attributes);
        for (kind, count) in [("input", usage.input), ("output", usage.output)] {
            let [operation, provider, model] = self.attributes.clone();
            let attributes = [operation, provider, model, KeyValue::new("gen_ai.token.type", kind)];
            self.figures.0.tokens.record(count, &attributes);
        }
    }

    /// It failed.
    fn failed(&self, error: &Error) {
        let kind = format!("{:?}", error.kind()).to_lowercase();
        self.span.record("error.type", kind.as_str());
        self.span.record("otel.status_code", "ERROR");
        let [operation, provider, model] = self.attributes.clone();
        let attributes = [operation, provider, model, KeyValue::new("error.type", kind)];
        self.figures.0.duration.record(self.begun.elapsed().as_secs_f64(), &attributes);
    }
}
