// The rules of deploy/prometheus/rules and the dashboards of grafana/dashboards, for those who manage theirs with jsonnet:
//
//   local rooms = (import 'rtc-room-exporter/deploy/mixin/mixin.libsonnet') + {
//     _config+:: { pageUrl: 'https://rooms.example' },
//   };
//   rooms.prometheusAlerts
//
// It takes a jsonnet that has std.parseYaml: go-jsonnet 0.18, jsonnet 0.20 or later.
{
  _config+:: {
    // Labels that tell one exporter from another, or a scrape's target from the next: aggregated away, so that a room counts
    // once, and an alert goes on when a pod is replaced.
    replicaLabels: ['instance', 'pod'],

    // Where the links of alerts lead.
    pageUrl: 'http://localhost:9877',
    dashboardsUrl: 'http://localhost:3000',
  },

  local config = self._config,
  local replaced(text) = std.foldl(
    function(text, pair) std.strReplace(text, pair[0], pair[1]),
    [
      ['instance, pod', std.join(', ', config.replicaLabels)],
      ['page: http://localhost:9877', 'page: ' + std.manifestJson(config.pageUrl)],
      ['dashboards: http://localhost:3000', 'dashboards: ' + std.manifestJson(config.dashboardsUrl)],
    ],
    text
  ),

  prometheusAlerts+:: std.parseYaml(replaced(importstr '../prometheus/rules/alerts.yml')),
  prometheusRules+:: std.parseYaml(replaced(importstr '../prometheus/rules/recording.yml')),

  grafanaDashboards+:: {
    'occupancy.json': std.parseJson(replaced(importstr '../../grafana/dashboards/occupancy.json')),
    'polling-health.json': std.parseJson(replaced(importstr '../../grafana/dashboards/polling-health.json')),
    'room.json': std.parseJson(replaced(importstr '../../grafana/dashboards/room.json')),
  },
}
