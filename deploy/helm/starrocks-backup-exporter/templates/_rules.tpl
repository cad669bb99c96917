{{- /* The alert rules of files/rules.yml, with what the values change. */ -}}
{{- define "exporter.rules" -}}
{{- $values := .Values.prometheusRule -}}
{{- $text := include "exporter.file" (list . "files/rules.yml") -}}
{{- $rules := regexReplaceAll "\\bcluster\\b" $text $values.clusterLabel | fromYaml -}}
{{- $alerts := dict -}}
{{- $severities := dict -}}
{{- range $group := $rules.groups -}}
{{- $kept := list -}}
{{- range $rule := $group.rules -}}
{{- if $rule.alert -}}
{{- $usual := $rule.labels.severity -}}
{{- $one := printf "%s/%s" $rule.alert $usual -}}
{{- $_ := set $alerts $rule.alert true -}}
{{- $_ := set $alerts $one true -}}
{{- $_ := set $severities $usual true -}}
{{- $severity := coalesce (get $values.severities $one) (get $values.severities $rule.alert) (get $values.severities $usual) $usual -}}
{{- $_ := set $rule "labels" (merge (dict "severity" $severity) $rule.labels $values.extraLabels) -}}
{{- with coalesce (get $values.for $one) (get $values.for $rule.alert) -}}
{{- $_ := set $rule "for" . -}}
{{- end -}}
{{- range $name, $annotation := $rule.annotations -}}
{{- if eq $name "runbook_url" -}}
{{- $_ := set $rule.annotations $name (replace "alerts/README.md" $.Values.runbookURL $annotation) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if or $values.watchdog (ne (get $rule "alert") "StarRocksBackupWatchdog") -}}
{{- $kept = append $kept $rule -}}
{{- end -}}
{{- end -}}
{{- $_ := set $group "rules" $kept -}}
{{- end -}}
{{- range $key, $_ := $values.severities -}}
{{- if not (or (hasKey $alerts $key) (hasKey $severities $key)) -}}
{{- fail (printf "prometheusRule.severities: there is no alert or severity %q" $key) -}}
{{- end -}}
{{- end -}}
{{- range $key, $_ := $values.for -}}
{{- if not (hasKey $alerts $key) -}}
{{- fail (printf "prometheusRule.for: there is no alert %q" $key) -}}
{{- end -}}
{{- if or (hasPrefix "StarRocksBackupRegion" $key) (hasPrefix "StarRocksBackupExporterDown" $key) -}}
{{- fail (printf "prometheusRule.for: other rules depend on how long %s waits: generate the rules instead, see README.md" $key) -}}
{{- end -}}
{{- end -}}
{{- range $name := list "alertname" "severity" $values.clusterLabel "job" "instance" "account" "region_id" "instance_id" -}}
{{- if hasKey $values.extraLabels $name -}}
{{- fail (printf "prometheusRule.extraLabels: the rules set or compare %q" $name) -}}
{{- end -}}
{{- end -}}
{{- toYaml $rules -}}
{{- end }}

{{- /* A file of the chart. In a clone it is a symbolic link, which some tools leave out. */ -}}
{{- define "exporter.file" -}}
{{- $root := index . 0 -}}
{{- $path := index . 1 -}}
{{- $text := $root.Files.Get $path -}}
{{- if not $text -}}
{{- fail (printf "the chart lacks %s: use a package made by make chart" $path) -}}
{{- end -}}
{{- $text -}}
{{- end }}
