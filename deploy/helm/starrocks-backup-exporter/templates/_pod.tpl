{{- define "exporter.pod" -}}
metadata:
  labels:
    {{- include "exporter.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: exporter
    {{- if not .Values.existingConfigMap }}
    checksum/config: {{ toYaml .Values.config | sha256sum }} # a new configuration makes new pods
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "exporter.serviceAccountName" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  containers:
    - name: exporter
      image: {{ include "exporter.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - --config.file=/etc/starrocks_backup_exporter/starrocks_backup_exporter.yml
        {{- if include "exporter.sharded" . }}
        - --total-shards={{ .Values.shards }}
        - --shard=$(POD_NAME)
        {{- end }}
        {{- range .Values.extraArgs }}
        - {{ quote . }}
        {{- end }}
      {{- if or .Values.env (include "exporter.sharded" .) }}
      env:
        {{- if include "exporter.sharded" . }}
        - name: POD_NAME
          valueFrom:
            fieldRef:
              fieldPath: metadata.name
        {{- end }}
        {{- with .Values.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      {{- with .Values.envFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - name: metrics
          containerPort: 10980
      livenessProbe:
        {{- toYaml .Values.livenessProbe | nindent 8 }}
      readinessProbe:
        {{- toYaml .Values.readinessProbe | nindent 8 }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        {{- toYaml .Values.securityContext | nindent 8 }}
      volumeMounts:
        - name: config
          mountPath: /etc/starrocks_backup_exporter
          readOnly: true
  volumes:
    - name: config
      projected:
        sources:
          - configMap:
              name: {{ default (include "exporter.fullname" .) .Values.existingConfigMap }}
          {{- with .Values.existingSecret }}
          - secret:
              name: {{ . }}
          {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    {{- /* Without a selector, a constraint counts no pod. */}}
    {{- $selector := dict "matchLabels" (include "exporter.selectorLabels" $ | fromYaml) }}
    - {{- set (deepCopy .) "labelSelector" (default $selector .labelSelector) | toYaml | nindent 6 }}
    {{- end }}
  {{- end }}
{{- end }}
