{{- define "persister.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "persister.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "persister.labels" -}}
{{ include "persister.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "persister.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "persister.name" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end }}

{{- define "persister.image" -}}
{{ printf "%s:%s" .repository (.root.Values.image.tag | default .root.Chart.AppVersion) | quote }}
{{- end }}

{{/* A value in quotes; a number with all its digits, which Helm would write as 1e+07. */}}
{{- define "persister.text" -}}
{{ if kindIs "string" . }}{{ . | quote }}{{ else }}{{ . | toJson | quote }}{{ end }}
{{- end }}

{{- define "persister.release" -}}
{{ required "set openwhiskRelease, or kafka.connect_string, db.host and db.auth" .Values.openwhiskRelease }}
{{- end }}

{{- define "persister.kafka" -}}
{{- if .Values.kafka.connect_string -}}
{{ .Values.kafka.connect_string }}
{{- else -}}
{{ printf "%s-kafka:%v" (include "persister.release" .) .Values.kafka.port }}
{{- end -}}
{{- end }}

{{- define "persister.database" -}}
{{- $host := .Values.db.host | default (printf "%s-couchdb" .Values.openwhiskRelease) -}}
{{- if not .Values.db.host }}{{ $_ := include "persister.release" . }}{{ end -}}
{{ printf "%s://%s:%v" .Values.db.protocol $host .Values.db.port }}
{{- end }}

{{/* The secret with the database's user and password. */}}
{{- define "persister.databaseSecret" -}}
{{- if .Values.db.auth.existingSecret -}}
{{ .Values.db.auth.existingSecret }}
{{- else if .Values.db.auth.password -}}
{{ include "persister.name" . }}-database
{{- else if .Values.db.auth.username -}}
{{ fail "db.auth.username needs db.auth.password, or both are in db.auth.existingSecret" }}
{{- else -}}
{{ include "persister.release" . }}-db.auth
{{- end -}}
{{- end }}

{{/* Kafka, for the worker, the jobs and the gateway. */}}
{{- define "persister.kafkaSettings" -}}
{{- if and (or .Values.kafka.saslMechanism .Values.kafka.privateAuthority) (not .Values.kafka.existingSecret) }}
{{- fail "kafka.saslMechanism and kafka.privateAuthority need kafka.existingSecret" }}
{{- end }}
- {name: PERSISTER_KAFKA_URL, value: {{ include "persister.kafka" . | quote }}}
- {name: PERSISTER_TOPIC_PREFIX, value: {{ .Values.whisk.kafka.topics.prefix | quote }}}
- {name: PERSISTER_LOG_MODE, value: {{ .Values.logMode | quote }}}
- {name: PERSISTER_REPLICATION, value: {{ .Values.replication | quote }}}
- {name: PERSISTER_PARTITIONS, value: {{ .Values.partitions | quote }}}
- {name: PERSISTER_KAFKA_SECURITY_PROTOCOL, value: {{ .Values.kafka.securityProtocol | quote }}}
{{- with .Values.kafka.saslMechanism }}
- {name: PERSISTER_KAFKA_SASL_MECHANISM, value: {{ . | quote }}}
{{- end }}
{{- with .Values.kafka.existingSecret }}
{{- if $.Values.kafka.saslMechanism }}
- name: PERSISTER_KAFKA_USER
  valueFrom: {secretKeyRef: {name: {{ . }}, key: username}}
- {name: PERSISTER_KAFKA_PASSWORD_FILE, value: /run/secrets/kafka/password}
{{- end }}
{{- if $.Values.kafka.privateAuthority }}
- {name: PERSISTER_KAFKA_CA_FILE, value: /run/secrets/kafka/ca.crt}
{{- end }}
{{- end }}
- {name: PERSISTER_COUCHDB_URL, value: {{ include "persister.database" . | quote }}}
- {name: PERSISTER_DATABASE, value: {{ .Values.db.activationsTable | quote }}}
- {name: PERSISTER_DATABASE_CREATE, value: {{ .Values.db.create | quote }}}
{{- if .Values.db.authoritySecret }}
- {name: PERSISTER_COUCHDB_CA_FILE, value: /run/secrets/couchdb-authority/ca.crt}
{{- end }}
{{- range $name, $value := .Values.settings }}
- {name: {{ $name }}, value: {{ include "persister.text" $value }}}
{{- end }}
{{- end }}

{{/* The database's user, for those who act on their own: the gateway passes its clients' on. */}}
{{- define "persister.databaseUser" -}}
- name: PERSISTER_COUCHDB_USER
  valueFrom:
    secretKeyRef:
      name: {{ include "persister.databaseSecret" . }}
      key: {{ .Values.db.auth.usernameKey }}
- {name: PERSISTER_COUCHDB_PASSWORD_FILE, value: /run/secrets/couchdb/password}
{{- end }}

{{- define "persister.mounts" -}}
{{- if .Values.kafka.existingSecret }}
- {name: kafka-secret, mountPath: /run/secrets/kafka, readOnly: true}
{{- end }}
{{- if .Values.db.authoritySecret }}
- {name: couchdb-authority, mountPath: /run/secrets/couchdb-authority, readOnly: true}
{{- end }}
- {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "persister.volumes" -}}
{{- with .Values.kafka.existingSecret }}
- name: kafka-secret
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with .Values.db.authoritySecret }}
- name: couchdb-authority
  secret: {secretName: {{ . }}, defaultMode: 0444}
{{- end }}
- name: tmp
  emptyDir: {}
{{- end }}

{{- define "persister.databaseVolume" -}}
- name: couchdb-secret
  secret:
    secretName: {{ include "persister.databaseSecret" . }}
    defaultMode: 0440
    items: [{key: {{ .Values.db.auth.passwordKey }}, path: password}]
{{- end }}

{{- define "persister.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
# Who may read the mounted secrets.
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "persister.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* A pod of one command that ends. */}}
{{- define "persister.jobPod" -}}
serviceAccountName: {{ include "persister.serviceAccount" .root }}
automountServiceAccountToken: false
restartPolicy: Never
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext: {{ include "persister.podSecurity" .root | nindent 2 }}
containers:
  - name: {{ .name }}
    image: {{ include "persister.image" (dict "root" .root "repository" .root.Values.image.repository) }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    args: {{ .args | toJson }}
    env:
      {{- include "persister.kafkaSettings" .root | nindent 6 }}
      {{- include "persister.databaseUser" .root | nindent 6 }}
    resources: {{ toYaml .resources | nindent 6 }}
    securityContext: {{ include "persister.containerSecurity" .root | nindent 6 }}
    volumeMounts:
      - {name: couchdb-secret, mountPath: /run/secrets/couchdb, readOnly: true}
      {{- include "persister.mounts" .root | nindent 6 }}
volumes:
  {{- include "persister.databaseVolume" .root | nindent 2 }}
  {{- include "persister.volumes" .root | nindent 2 }}
{{- end }}
