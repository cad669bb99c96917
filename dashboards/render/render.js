// Draws a dashboard with Grafana's own components in Chromium, as Grafana would with the same data source, without Grafana.
//
//   node render.js [--instance=ID] [--width=1600] [--theme=dark] [--rows=closed] [--hours=168] [--scrape=60] [--height=ALL] [--scale=1] DASHBOARD.json PROMETHEUS_URL OUT.png
//
// It writes what each panel shows to standard output, as JSON, and exits with 1 if a query fails or Chromium draws nothing. State timelines
// are not among Grafana's published components; page.jsx draws them itself. Annotations are not drawn.
// scripts/install-tools.sh installs what it needs into GRAFANA_RENDER.
const fs = require('fs'), os = require('os'), path = require('path');
const { execFileSync } = require('child_process');
const { parseArgs } = require('util');

const { values: flags, positionals: [file, prometheus, out] } = parseArgs({
  allowPositionals: true,
  options: {
    instance: { type: 'string', default: '.*' }, width: { type: 'string', default: '1600' }, theme: { type: 'string', default: 'dark' },
    rows: { type: 'string', default: 'closed' }, hours: { type: 'string', default: '168' }, scrape: { type: 'string', default: '60' },
    height: { type: 'string', default: '0' }, scale: { type: 'string', default: '1' },
  },
});
const modules = process.env.GRAFANA_RENDER || path.join(__dirname, '../../.tools/grafana-render');
const dashboard = JSON.parse(fs.readFileSync(file));
const now = Math.floor(Date.now() / 1000), range = flags.hours * 3600, scrape = +flags.scrape;

// A step is one that Grafana rounds to.
const steps = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
const stepFor = (panel) => {
  const points = panel.maxDataPoints || Math.floor(panel.gridPos.w / 24 * flags.width);
  const least = { '1d': 86400, '1m': 60 }[panel.interval] || scrape;
  return Math.max(steps.find((s) => s >= range / points) || 86400, least);
};

const variables = Object.fromEntries(dashboard.templating.list.filter((v) => v.type === 'query').map((v) => [v.name, '.*']));
variables.instance = flags.instance;

function expand(text, step) {
  const all = {
    __rate_interval: Math.max(step + scrape, 4 * scrape) + 's', __range: range + 's', __interval: step + 's', ...variables,
  };
  return text.replace(/\$\{?([a-zA-Z_]+)\}?/g, (whole, name) => all[name] ?? whole);
}

async function ask(endpoint, parameters) {
  const began = Date.now();
  const answer = await fetch(prometheus + '/api/v1/' + endpoint, { method: 'POST', body: new URLSearchParams(parameters) });
  const { status, error, data } = await answer.json();
  if (status !== 'success') throw new Error(`${error}: ${parameters.query}`);
  return { result: data.result, ms: Date.now() - began };
}

(async () => {
  for (const v of dashboard.templating.list) { // hidden variables are chosen by a query
    const query = v.hide === 2 && /^query_result\(([\s\S]*)\)$/.exec(v.query.query);
    if (!query) continue;
    const { result } = await ask('query', { query: expand(query[1], scrape), time: now });
    variables[v.name] = '(' + result.map((s) => s.metric.instance_id).join('|') + ')';
  }
  const answers = {}, took = [];
  const panels = dashboard.panels.flatMap((p) => [p, ...(flags.rows === 'open' ? p.panels || [] : [])]);
  for (const panel of panels) {
    const step = stepFor(panel);
    const start = Math.floor((now - range) / step) * step, end = Math.floor(now / step) * step;
    for (const t of panel.targets || []) {
      const query = expand(t.expr, step);
      const { result, ms } = t.instant ? await ask('query', { query, time: now }) : await ask('query_range', { query, start, end, step });
      (answers[panel.title] ??= {})[t.refId] = { step, result };
      took.push({ panel: panel.title, query: t.refId, ms });
    }
  }

  const work = fs.mkdtempSync(path.join(os.tmpdir(), 'render-'));
  try {
    const bundle = path.join(modules, 'page.js');
    if (!fs.existsSync(bundle) || fs.statSync(bundle).mtimeMs < fs.statSync(path.join(__dirname, 'page.jsx')).mtimeMs) {
      execFileSync(path.join(modules, 'node_modules/.bin/esbuild'), [
        path.join(__dirname, 'page.jsx'), '--bundle', '--outfile=' + bundle, '--format=iife', '--main-fields=module,browser,main', '--log-level=error',
        ...['svg', 'png', 'ttf', 'woff', 'woff2'].map((kind) => `--loader:.${kind}=dataurl`), '--define:process.env.NODE_ENV="production"',
      ], { env: { ...process.env, NODE_PATH: path.join(modules, 'node_modules') }, stdio: ['ignore', 'ignore', 'inherit'] });
    }
    const data = { dashboard, answers, now, from: now - range, width: +flags.width, theme: flags.theme, rows: flags.rows };
    fs.writeFileSync(path.join(work, 'data.js'), 'window.DATA=' + JSON.stringify(data));
    const grafana = "window.process={env:{NODE_ENV:'production'}};window.global=window;window.__grafana_public_path__='';" +
      'window.grafanaBootData={settings:{featureToggles:{},appSubUrl:""}}';
    fs.writeFileSync(path.join(work, 'page.html'), `<!doctype html><meta charset=utf-8><style>body{font-family:'DejaVu Sans',Inter,sans-serif}</style>
<link rel=stylesheet href="${modules}/page.css"><div id=root></div><script>${grafana}</script><script src=data.js></script><script src="${modules}/page.js"></script>`);
    const bottom = Math.max(...panels.map((p) => p.gridPos.y + p.gridPos.h)) * 38 + 8;
    const dom = execFileSync('chromium', [
      '--headless=new', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--allow-file-access-from-files', '--user-data-dir=' + work,
      '--force-device-scale-factor=' + flags.scale,
      `--window-size=${flags.width},${+flags.height || bottom}`, '--virtual-time-budget=20000', '--screenshot=' + path.resolve(out), '--dump-dom',
      'file://' + path.join(work, 'page.html'),
    ], { maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'ignore'] }).toString();
    const report = /<script type="text\/plain" id="report">(.*?)<\/script>/s.exec(dom);
    if (!report) throw new Error('the page drew nothing');
    took.sort((a, b) => b.ms - a.ms);
    console.log(JSON.stringify({ panels: JSON.parse(report[1]), slowest: took.slice(0, 12) }));
  } finally {
    fs.rmSync(work, { recursive: true, force: true, maxRetries: 5 });
  }
})().catch((e) => { console.error(e); process.exitCode = 1; });
