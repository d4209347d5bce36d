{{/* What every pod is bounded by: the "restricted" level of the Pod Security Standards. */}}
{{- define "tidemill.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "tidemill.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Where the database is: the variables of storage and of the migration. */}}
{{- define "tidemill.databaseEnv" -}}
{{- with .Values.postgres }}
{{- if .secret.name }}
- name: TIDEMILL_POSTGRES__URL
  valueFrom:
    secretKeyRef: {name: {{ .secret.name | quote }}, key: {{ .secret.key | quote }}}
{{- if .passwordSecret.name }}
- name: PGPASSWORD
  valueFrom:
    secretKeyRef: {name: {{ .passwordSecret.name | quote }}, key: {{ .passwordSecret.key | quote }}}
{{- end }}
{{- if .caSecret.name }}
- name: PGSSLROOTCERT
  value: /etc/tidemill/postgres/ca.crt
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The variables of one part's container. */}}
{{- define "tidemill.env" -}}
{{- $root := .root -}}
{{- with $root.Values }}
{{- if or .consul.address .telemetry.otlpEndpoint }}
- name: POD_NAME
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
{{- end }}
{{- if .consul.address }}
- name: HOST_IP
  valueFrom:
    fieldRef: {fieldPath: status.hostIP}
- name: TIDEMILL_DISCOVERY__CONSUL__ADDRESS
  value: {{ .consul.address | quote }}
# The pod's own address, whatever the way to the agent is.
- name: TIDEMILL_DISCOVERY__CONSUL__ADVERTISE
  valueFrom:
    fieldRef: {fieldPath: status.podIP}
{{- if .consul.tokenSecret.name }}
- name: TIDEMILL_DISCOVERY__CONSUL__TOKEN
  valueFrom:
    secretKeyRef: {name: {{ .consul.tokenSecret.name | quote }}, key: {{ .consul.tokenSecret.key | quote }}}
{{- end }}
{{- end }}
{{- if .telemetry.otlpEndpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .telemetry.otlpEndpoint | quote }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: service.instance.id=$(POD_NAME),service.namespace={{ $root.Release.Namespace }}
{{- end }}
{{- end }}
{{- if and (not $root.Values.consul.address) $root.Values.connectionSeconds (has .part (list "storage" "analysis" "ingestion")) }}
- name: TIDEMILL_CONNECTIONS__MAX_AGE_MS
  value: {{ mul $root.Values.connectionSeconds 1000 | quote }}
- name: TIDEMILL_CONNECTIONS__MAX_AGE_GRACE_MS
  value: "3600000"
{{- end }}
{{- if eq .part "storage" }}
{{- include "tidemill.databaseEnv" $root }}
{{- if $root.Values.migration.enabled }}
- name: TIDEMILL_POSTGRES__MIGRATE
  value: "false"
{{- end }}
{{- end }}
{{- with $root.Values.provider }}
{{- if and (eq $.part "analysis") .model .keySecret.name }}
- name: TIDEMILL_ANALYSIS__OPENAI__API_KEY
  valueFrom:
    secretKeyRef: {name: {{ .keySecret.name | quote }}, key: {{ .keySecret.key | quote }}}
{{- end }}
{{- end }}
{{- with (get $root.Values .part).env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A part answers grpc.health.v1, the gateway over HTTP; so does a part over TLS, which Kubernetes' probes by gRPC do not speak. A gateway starts once it reached every service (so that a release
     that cannot find the others does not replace one that does); after that it is ready while it lives, because a caller is
     helped more by an answer that says what is away than by none. */}}
{{- define "tidemill.probes" -}}
{{- $scheme := include "tidemill.scheme" . | upper -}}
{{- if or (eq .part "gateway") (eq $scheme "HTTPS") }}
startupProbe:
  httpGet: {path: {{ eq .part "gateway" | ternary "/readyz" "/healthz" }}, port: grpc, scheme: {{ $scheme }}}
  periodSeconds: 3
  timeoutSeconds: 3
  failureThreshold: 100
readinessProbe:
  httpGet: {path: /healthz, port: grpc, scheme: {{ $scheme }}}
  periodSeconds: 5
  timeoutSeconds: 2
livenessProbe:
  httpGet: {path: /healthz, port: grpc, scheme: {{ $scheme }}}
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 6
{{- else }}
startupProbe:
  grpc: {port: 7400}
  periodSeconds: 3
  timeoutSeconds: 3
  failureThreshold: 100
readinessProbe:
  grpc: {port: 7400}
  periodSeconds: 5
  timeoutSeconds: 2
livenessProbe:
  grpc: {port: 7400}
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 6
{{- end }}
{{- end -}}
