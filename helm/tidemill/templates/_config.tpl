{{/* `tidemill.toml`: what the chart decides, then what `config` says. */}}
{{- define "tidemill.config" -}}
{{- $root := . -}}
{{- $own := dict
  "listen" "0.0.0.0:7400"
  "log" .Values.log
  "grace_ms" (mul .Values.graceSeconds 1000)
  "allow_plaintext" (not .Values.tls.meshSecret.name)
  "store" (dict "path" "/data")
  "ingestion" (dict "local_sources" false)
-}}
{{- $components := dict -}}
{{- range $part, $component := dict "analysis" (dict "name" "analysers" "kinds" (list "analyze")) "ingestion" (dict "name" "collectors" "kinds" (list "collect")) -}}
{{- with (get $root.Values $part).autoscaling -}}
{{- if and .enabled .byQueue -}}
{{- $_ := set $components $component.name (dict "kinds" $component.kinds "min" .minReplicas "max" .maxReplicas) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $components -}}{{- $_ := set $own "scheduling" (dict "scaling" (dict "components" $components)) -}}{{- end -}}
{{- if .Values.consul.address -}}
{{- $consul := dict "service_prefix" .Values.consul.servicePrefix -}}
{{- if .Values.consul.tlsSecret.name -}}
{{- $_ := set $consul "ca_file" "/etc/tidemill/consul/ca.crt" -}}
{{- if .Values.consul.tlsSecret.clientCertificate -}}
{{- $_ := set $consul "cert_file" "/etc/tidemill/consul/tls.crt" -}}
{{- $_ := set $consul "key_file" "/etc/tidemill/consul/tls.key" -}}
{{- end -}}
{{- end -}}
{{- $_ := set $own "discovery" (dict "consul" $consul) -}}
{{- else -}}
{{- $fixed := dict -}}
{{- range list "storage" "scheduling" "analysis" "ingestion" -}}
{{- $_ := set $fixed . (list (printf "%s-%s.%s.svc:7400" (include "tidemill.fullname" $root) . $root.Release.Namespace)) -}}
{{- end -}}
{{- $_ := set $fixed "schedulers" (list (printf "%s-schedulers.%s.svc:7400" (include "tidemill.fullname" $root) $root.Release.Namespace)) -}}
{{- $_ := set $own "discovery" (dict "fixed" $fixed) -}}
{{- end -}}
{{- $tls := dict -}}
{{- with .Values.tls.meshSecret -}}
{{- if .name -}}
{{- $mesh := dict "ca_file" "/etc/tidemill/mesh/ca.crt" "cert_file" "/etc/tidemill/mesh/tls.crt" "key_file" "/etc/tidemill/mesh/tls.key" -}}
{{- if .serverName -}}{{- $_ := set $mesh "server_name" .serverName -}}{{- end -}}
{{- $_ := set $tls "mesh" $mesh -}}
{{- end -}}
{{- end -}}
{{- if .Values.tls.gatewaySecret.name -}}
{{- $_ := set $tls "gateway" (dict "cert_file" "/etc/tidemill/gateway/tls.crt" "key_file" "/etc/tidemill/gateway/tls.key") -}}
{{- end -}}
{{- if $tls -}}{{- $_ := set $own "tls" $tls -}}{{- end -}}
{{- if .Values.provider.model -}}
{{- $_ := set $own "analysis" (dict "openai" (dict "model" .Values.provider.model "base_url" .Values.provider.baseUrl)) -}}
{{- end -}}
{{- include "tidemill.toml" (dict "path" "" "table" (mustMergeOverwrite $own (deepCopy .Values.config))) | trim -}}
{{- end -}}

{{/* A table as TOML. Numbers of values are floating point in templates, which `toToml` writes as 1.0; JSON writes whole ones
     as whole, and its scalars and lists of scalars are TOML too. */}}
{{- define "tidemill.toml" -}}
{{- $path := .path -}}
{{- range $key, $value := .table }}
{{- if not (or (kindIs "map" $value) (and (kindIs "slice" $value) $value (kindIs "map" (first $value)))) }}
{{ $key }} = {{ toJson $value }}
{{- end }}
{{- end }}
{{- range $key, $value := .table }}
{{- $inner := printf "%s%s" $path $key }}
{{- if kindIs "map" $value }}

[{{ $inner }}]
{{- include "tidemill.toml" (dict "path" (printf "%s." $inner) "table" $value) }}
{{- else if and (kindIs "slice" $value) $value (kindIs "map" (first $value)) }}
{{- range $value }}

[[{{ $inner }}]]
{{- include "tidemill.toml" (dict "path" (printf "%s." $inner) "table" .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
