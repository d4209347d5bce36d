//! The figures of a process: one set of instruments (OpenTelemetry), read as a Prometheus page, and sent to the
//! collector where one is set. An instrument that is made before `telemetry::init` counts nothing.

use std::collections::HashSet;
use std::fs;
use std::sync::{OnceLock, PoisonError, RwLock};

use opentelemetry::global;
use opentelemetry::metrics::Meter;
pub use opentelemetry::metrics::{Counter, Gauge, Histogram, UpDownCounter};
pub use opentelemetry::{KeyValue, StringValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use prometheus::{Registry, TextEncoder};

/// Upper bounds, in seconds, of what calls and statements take: from what happens in process to what a model takes.
pub const SECONDS: [f64; 14] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Upper bounds, in seconds, of what requests and work of unknown length take: from at once to minutes.
pub const WORK: [f64; 14] =
    [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0];

/// Upper bounds, in seconds, of what waits: from at once to an hour.
pub const WAITS: [f64; 12] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3_600.0];

static REGISTRY: OnceLock<Registry> = OnceLock::new();

/// The meter of one part of the code.
pub fn meter(name: &'static str) -> Meter {
    global::meter(name)
}

/// A histogram of seconds.
pub fn seconds(
    meter: &Meter,
    name: &'static str,
    description: &'static str,
    bounds: &[f64],
) -> Histogram<f64> {
    let histogram = meter.f64_histogram(name).with_unit("s").with_description(description);
    histogram.with_boundaries(bounds.to_vec()).build()
}

/// Counts the look-ups of one cache, by whether they found something.
#[derive(Debug, Clone)]
pub struct CacheFigures {
    requests: Counter<u64>,
    name: &'static str,
}

impl CacheFigures {
    /// Those of the cache of this name.
    pub fn of(name: &'static str) -> Self {
        let requests = meter("tidemill.cache")
            .u64_counter("tidemill.cache.requests")
            .with_description("Look-ups of a cache, by whether they found something.")
            .build();
        Self { requests, name }
    }

    /// Counts one look-up.
    pub fn asked(&self, found: bool) {
        let result = if found { "hit" } else { "miss" };
        self.requests.add(1, &[KeyValue::new("cache", self.name), KeyValue::new("result", result)]);
    }
}

/// The values of an attribute that others choose: so many are told apart, the rest is `other`.
#[derive(Debug)]
pub struct Labels {
    known: RwLock<HashSet<StringValue>>,
    most: usize,
}

impl Labels {
    /// Tells `most` values apart, those that come first.
    pub fn at_most(most: usize) -> Self {
        Self { known: RwLock::default(), most }
    }

    /// The value for this text.
    pub fn of(&self, text: &str) -> StringValue {
        let value = StringValue::from(text.to_owned());
        if self.known.read().unwrap_or_else(PoisonError::into_inner).contains(&value) {
            return value;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= self.most {
            return StringValue::from("other");
        }
        known.insert(value.clone());
        value
    }
}

/// A figure whose name by OpenTelemetry ends like the parts of a histogram do in Prometheus, and its name on the page.
const RENAMED: (&str, &str) = ("db_client_connection_count", "db_client_connections");

/// The page in Prometheus' text format; empty before `telemetry::init`.
pub fn page() -> String {
    let mut families = REGISTRY.get().map(Registry::gather).unwrap_or_default();
    for family in families.iter_mut().filter(|family| family.name() == RENAMED.0) {
        family.set_name(RENAMED.1.to_owned());
    }
    TextEncoder::new().encode_to_string(&families).unwrap_or_else(|fault| format!("# {fault}\n"))
}

/// Starts the instruments of this process, read also by `exporter` if there is one. The provider, for its last words; a
/// second call changes nothing and has none.
pub(crate) fn start<E: PushMetricExporter>(
    resource: Resource,
    exporter: Option<E>,
) -> Result<Option<SdkMeterProvider>, String> {
    let registry = Registry::new();
    let page = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .without_target_info()
        .scope_info_enabled(false)
        .build()
        .map_err(|fault| fault.to_string())?;
    if REGISTRY.set(registry).is_err() {
        return Ok(None);
    }
    let mut provider = SdkMeterProvider::builder().with_reader(page).with_resource(resource);
    if let Some(exporter) = exporter {
        provider = provider.with_reader(PeriodicReader::builder(exporter).build());
    }
    let provider = provider.build();
    global::set_meter_provider(provider.clone());
    process();
    Ok(Some(provider))
}

/// Memory and processor time of this process, read when they are asked for.
fn process() {
    let meter = meter("tidemill.process");
    let _memory = meter
        .u64_observable_gauge("process.memory.usage")
        .with_unit("By")
        .with_description("Resident memory of this process.")
        .with_callback(|gauge| {
            if let Some(bytes) = resident() {
                gauge.observe(bytes, &[]);
            }
        })
        .build();
    let _time = meter
        .f64_observable_counter("process.cpu.time")
        .with_unit("s")
        .with_description("Processor time that this process has used.")
        .with_callback(|counter| {
            for (mode, seconds) in processor_time().into_iter().flatten() {
                counter.observe(seconds, &[KeyValue::new("cpu.mode", mode)]);
            }
        })
        .build();
}

/// Resident memory in bytes, where the system tells it (proc(5), `status`).
pub fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Seconds in user and in system mode (proc(5), `stat`: fields 14 and 15, in hundredths).
pub fn processor_time() -> Option<[(&'static str, f64); 2]> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the command's name in parentheses, which may hold blanks.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut seconds = || Some(fields.next()?.parse::<f64>().ok()? / 100.0);
    Some([("user", seconds()?), ("system", seconds()?)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_beyond_the_bound_are_told_together() {
        let labels = Labels::at_most(2);
        let told = ["a", "b", "c", "a", "d"].map(|text| labels.of(text).as_str().to_owned());
        assert_eq!(told, ["a", "b", "other", "a", "other"]);
    }

    #[test]
    fn what_is_counted_stands_on_the_page() {
        let nobody: Option<opentelemetry_otlp::MetricExporter> = None;
        start(Resource::builder_empty().build(), nobody).unwrap();
        meter("test").u64_counter("test.calls").build().add(3, &[KeyValue::new("rpc.method", "Get")]);
        let page = page();
        let line = |name: &str| page.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        let calls = line("test_calls_total{");
        assert!(calls.contains("rpc_method=\"Get\"") && calls.ends_with(" 3"), "{page}");
        assert!(!line("process_memory_usage_bytes").is_empty(), "{page}");
        assert!(line("process_cpu_time_seconds_total{").contains("cpu_mode"), "{page}");
        assert!(page.contains("# HELP process_memory_usage_bytes Resident memory"), "{page}");
    }
}
