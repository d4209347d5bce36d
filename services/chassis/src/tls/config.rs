//! The settings of TLS on one port, or between the parts of a mesh.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Which certificates a process shows, and whom it believes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// The certificate that is shown, with those between it and its authority (PEM).
    pub cert_file: PathBuf,
    /// The key of that certificate (PEM).
    pub key_file: PathBuf,
    /// Who signs the other side's certificates (PEM). A port that has it answers only callers with such a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The name that the certificates of the other side carry; the host that is called when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}
