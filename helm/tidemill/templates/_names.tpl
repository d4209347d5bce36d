{{/* Names, labels and small decisions that several objects share. */}}

{{- define "tidemill.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough that `-scheduling` fits into 63 characters. */}}
{{- define "tidemill.fullname" -}}
{{- $name := include "tidemill.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What tells this release's pods from others; `part` is added where it is one part's. These never change. */}}
{{- define "tidemill.selector" -}}
app.kubernetes.io/name: {{ include "tidemill.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .part }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "tidemill.labels" -}}
{{ include "tidemill.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "tidemill.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "tidemill.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "tidemill.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* What a part's port speaks: `http` or `https`. */}}
{{- define "tidemill.scheme" -}}
{{- $tls := .root.Values.tls -}}
{{- eq .part "gateway" | ternary $tls.gatewaySecret.name $tls.meshSecret.name | empty | ternary "http" "https" -}}
{{- end -}}

{{/* Part -> the parts it calls: the table of services/tidemill/src/compose.rs, to which a test holds it. */}}
{{- define "tidemill.needs" -}}
storage: []
scheduling: [storage]
analysis: [storage, scheduling]
ingestion: [storage, scheduling, analysis]
gateway: [storage, scheduling, analysis, ingestion]
{{- end -}}
