{{- define "magento-cdc.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- define "magento-cdc.labels" -}}
app.kubernetes.io/name: magento-cdc
app.kubernetes.io/instance: {{ include "magento-cdc.name" . }}
app.kubernetes.io/component: {{ .Values.role }}
{{- end }}

{{- define "magento-cdc.selector" -}}
app.kubernetes.io/name: magento-cdc
app.kubernetes.io/instance: {{ include "magento-cdc.name" . }}
{{- end }}

{{- define "magento-cdc.replicas" -}}
{{- if .Values.job.enabled -}}
0
{{- else if eq .Values.role "member" -}}
{{ .Values.replicas | default 2 }}
{{- else -}}
{{- if gt (int (.Values.replicas | default 1)) 1 -}}
{{- fail (printf "role %s takes one pod: a second one would send everything twice; only members can be several" .Values.role) -}}
{{- end -}}
1
{{- end -}}
{{- end }}

{{- define "magento-cdc.settings" -}}
{{- .Values.settings | default (.Files.Get (printf "files/%s.toml" .Values.role)) -}}
{{- end }}

{{- define "magento-cdc.secret" -}}
{{- .Values.secrets.existing | default (include "magento-cdc.name" .) -}}
{{- end }}

{{- define "magento-cdc.pod" -}}
automountServiceAccountToken: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
# The daemon's own grace time, and some seconds to close files and stop the container.
terminationGracePeriodSeconds: {{ add .Values.graceSeconds 15 }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "magento-cdc.container" -}}
name: magento-cdc
image: {{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  - {name: MAGENTO_CDC__STATE__DIR, value: /var/lib/magento-cdc/state}
  - {name: MAGENTO_CDC__WEB__HOST, value: 0.0.0.0}
  - {name: MAGENTO_CDC__WEB__PORT, value: {{ .Values.web.port | quote }}}
  - {name: MAGENTO_CDC__SHUTDOWN__GRACE_S, value: {{ .Values.graceSeconds | quote }}}
  {{- with .Values.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
# A pod that ends badly shows the last lines of its log in `kubectl describe pod`.
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: state, mountPath: /var/lib/magento-cdc}
  - {name: settings, mountPath: /etc/magento-cdc, readOnly: true}
  - {name: secrets, mountPath: /run/secrets/magento-cdc, readOnly: true}
  - {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "magento-cdc.volumes" -}}
- name: settings
  configMap: {name: {{ include "magento-cdc.name" . }}}
- name: secrets
  secret: {secretName: {{ include "magento-cdc.secret" . }}, defaultMode: 0440}
- name: tmp
  emptyDir: {sizeLimit: 1Gi}
{{- end }}
