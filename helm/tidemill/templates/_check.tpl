{{/* What the schema cannot say: settings that only together are wrong. */}}
{{- define "tidemill.check" -}}
{{- with .Values }}
{{- if and (not .postgres.secret.name) (or (gt (int .storage.replicas) 1) .storage.autoscaling.enabled) }}
{{- fail "storage.replicas: several instances of storage need PostgreSQL: set postgres.secret.name, or storage.replicas=1 and storage.autoscaling.enabled=false" }}
{{- end }}
{{- if and .migration.enabled (not .postgres.secret.name) }}
{{- fail "migration.enabled: SQLite is brought up to date by storage itself: set postgres.secret.name, or migration.enabled=false" }}
{{- end }}
{{- range $part := list "storage" "scheduling" }}
{{- if (get $.Values $part).autoscaling.byQueue }}
{{- fail (printf "%s.autoscaling.byQueue: the queue says how many workers there should be, and %s has none: leave it out" $part $part) }}
{{- end }}
{{- end }}
{{- if and .consul.address .networkPolicy.enabled (not .networkPolicy.consulFrom) }}
{{- fail "networkPolicy.consulFrom: say from where Consul's agents ask for health, as peers of a NetworkPolicy; without it every instance would be taken for dead" }}
{{- end }}
{{- end }}
{{- end -}}
