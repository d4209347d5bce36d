//! How values look on Consul's wire where JSON alone does not say it: Go's durations, `null` for empty, base64.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serializer};

/// A duration as Go writes it, exact to the microsecond.
pub(crate) fn go_duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    if micros.is_multiple_of(1_000) { format!("{}ms", micros / 1_000) } else { format!("{micros}us") }
}

/// Serialises a duration as Go writes it.
pub(crate) fn duration<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&go_duration(*value))
}

/// Serialises a duration as Go writes it, if there is one.
pub(crate) fn maybe_duration<S: Serializer>(
    value: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => duration(value, serializer),
        None => serializer.serialize_none(),
    }
}

/// Reads `null` as the default: Go marshals empty lists and maps so.
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads bytes from base64; `null` is none.
pub(crate) fn base64_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    STANDARD.decode(text.unwrap_or_default()).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_duration_is_exact_in_gos_notation(micros in 0_u64..10_000_000_000) {
            let text = go_duration(Duration::from_micros(micros));
            let back = match (text.strip_suffix("ms"), text.strip_suffix("us")) {
                (Some(millis), _) => millis.parse::<u64>().unwrap() * 1_000,
                (_, Some(micros)) => micros.parse::<u64>().unwrap(),
                _ => panic!("no unit in {text}"),
            };
            prop_assert_eq!(back, micros);
        }
    }
}
