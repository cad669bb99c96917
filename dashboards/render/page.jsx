import 'uplot/dist/uPlot.min.css';
import React from 'react';
import { createRoot } from 'react-dom/client';
import * as gd from '@grafana/data';
import * as ui from '@grafana/ui';
import { lastValueFrom } from 'rxjs';
const { FieldType } = gd;
window.Prism = window.Prism || {};
gd.standardTransformersRegistry.setInit(() => [...new Map(Object.values(gd.standardTransformers).map(t => [t.id, t])).values()].map(t => ({ id: t.id, name: t.name, transformation: t, editor: () => null })));
const std = ['unit','decimals','min','max','noValue','displayName','color','thresholds','mappings','links'];
const custom = ['width','align','cellOptions','inspect','fillBelowTo','lineWidth','fillOpacity','drawStyle','hidden','stacking','lineStyle','axisPlacement','axisSoftMin','axisSoftMax','showPoints','pointSize','spanNulls','barAlignment','barWidthFactor','barMaxWidth','thresholdsStyle','minWidth','gradientMode'];
const registry = new gd.FieldConfigOptionsRegistry();
for (const id of std) registry.register({ id, path: id, name: id, process: (v, ctx) => id === 'mappings' ? gd.valueMappingsOverrideProcessor(v, ctx, {}) : id === 'links' ? v : v, shouldApply: () => true, override: () => null, editor: () => null });
for (const id of custom) registry.register({ id: 'custom.' + id, path: id, isCustom: true, name: id, process: (v) => v, shouldApply: () => true, override: () => null, editor: () => null });
gd.standardFieldConfigEditorRegistry.setInit(() => registry.list().filter(x=>!x.isCustom));
const theme = gd.createTheme({ colors: { mode: window.DATA.theme } });
const D = window.DATA;
const timeRange = { from: gd.dateTime(D.from * 1000), to: gd.dateTime(D.now * 1000), raw: { from: gd.dateTime(D.from*1000), to: gd.dateTime(D.now*1000) } };
function fixThresholds(o){ if(!o||typeof o!=='object')return; if(Array.isArray(o.steps)&&o.mode) o.steps.forEach(x=>{if(x.value===null)x.value=-Infinity}); Object.values(o).forEach(fixThresholds); }
for (const p of D.dashboard.panels){fixThresholds(p.fieldConfig);(p.panels||[]).forEach(q=>fixThresholds(q.fieldConfig));}
const num = (v) => v === '+Inf' ? Infinity : v === '-Inf' ? -Infinity : v === 'NaN' ? NaN : +v;
function legend(fmt, labels) {
  if (fmt) { return fmt.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, l) => labels[l] ?? ''); }
  const { __name__, ...rest } = labels; return (__name__ || '') + '{' + Object.entries(rest).map(([k, v]) => `${k}="${v}"`).join(', ') + '}';
}
function frames(panel) {
  const out = [], table = {};
  for (const t of panel.targets) {
    const r = D.answers[panel.title][t.refId];
    if (t.format === 'table') { table[t.refId] = r; continue; }
    if (!r.result.length) { out.push({ refId: t.refId, fields: [], length: 0 }); continue; }
    for (const s of r.result) {
      const name = legend(t.legendFormat, s.metric);
      let times = [], vals = [];
      if (s.value) { times = [s.value[0] * 1000]; vals = [num(s.value[1])]; }
      else { times = s.values.map(x => x[0] * 1000); vals = s.values.map(x => num(x[1])); }
      out.push({ refId: t.refId, name, length: times.length, meta: { type: 'timeseries-multi' }, fields: [
        { name: 'Time', type: FieldType.time, config: { interval: r.step*1000 }, values: times },
        { name: 'Value', type: FieldType.number, labels: s.metric, config: { displayNameFromDS: name }, values: vals }] });
    }
  }
  const refIds = Object.keys(table);
  if (refIds.length) {
    if (refIds.length===1 && !table[refIds[0]].result.length) out.push({refId: refIds[0], fields: [], length: 0});
    else for (const refId of refIds) {
      const v = refIds.length > 1 ? 'Value #' + refId : 'Value';
      const labels = []; for (const s of table[refId].result) for (const l of Object.keys(s.metric).sort()) if (!labels.includes(l)) labels.push(l);
      const rs = table[refId].result;
      out.push({ refId, length: rs.length, fields: [
        { name: 'Time', type: FieldType.time, config: {}, values: rs.map(s => s.value[0] * 1000) },
        ...labels.map(l => ({ name: l, type: FieldType.string, config: { filterable: true }, values: rs.map(s => s.metric[l] ?? '') })),
        { name: v, type: FieldType.number, config: {}, values: rs.map(s => num(s.value[1])) }] });
    }
  }
  return out;
}
async function prepare(panel) {
  let series = frames(panel);
  if (panel.transformations) series = await lastValueFrom(gd.transformDataFrame(panel.transformations, series));
  series = gd.applyFieldOverrides({ data: series, fieldConfig: panel.fieldConfig, fieldConfigRegistry: registry, replaceVariables: (s) => s, theme, timeZone: 'utc' });
  return series;
}
const Empty = ({ panel, w, h }) => <div data-words style={{ width: w, height: h, display: 'flex', alignItems: 'center', justifyContent: 'center', fontSize: 15, color: theme.colors.text.secondary }}>{panel.fieldConfig.defaults.noValue ?? 'No data'}</div>;
function Stat({ panel, series, w, h }) {
  const o = panel.options;
  const getValues = () => gd.getFieldDisplayValues({ fieldConfig: panel.fieldConfig, reduceOptions: o.reduceOptions, replaceVariables: (s) => s, theme, data: series, sparkline: false, timeZone: 'utc' });
  return <ui.VizRepeater getValues={getValues} getAlignmentFactors={gd.getDisplayValueAlignmentFactors}
    renderValue={({ value, alignmentFactors, width, height, count }) => <ui.BigValue value={value.display} count={count} colorMode={o.colorMode} graphMode={o.graphMode} justifyMode={o.justifyMode} textMode={o.textMode} alignmentFactors={alignmentFactors} width={width} height={height} theme={theme} />}
    width={w} height={h} source={series} itemSpacing={3} autoGrid={true} orientation={o.orientation} />;
}
function Timeline({ panel, series, w, h }) {
  const rows = [];
  for (const f of series) { const t = f.fields.find(x => x.type === 'time'); for (const v of f.fields) if (v.type === 'number') rows.push({ t, v, name: gd.getFieldDisplayName(v, f, series) }); }
  if (!rows.length) return <Empty panel={panel} w={w} h={h} />;
  const lw = Math.min(w*0.3, 330), hh = (h - 40) / rows.length; const x = (ms) => lw + (ms / 1000 - D.from) / (D.now - D.from) * (w - lw);
  const seen = new Map();
  return <svg width={w} height={h}>{rows.map((r, i) => {
    const els = []; const step = r.t.config.interval || 60000; let start = 0;
    for (let k = 1; k <= r.v.values.length; k++) {
      if (k === r.v.values.length || r.v.values[k] !== r.v.values[start] || r.t.values[k] - r.t.values[k - 1] > step * 1.5) {
        const d = r.v.display(r.v.values[start]); seen.set(d.text, d.color);
        const end = k < r.v.values.length ? Math.min(r.t.values[k], r.t.values[k-1]+step) : r.t.values[k - 1] + step;
        const x0 = Math.max(lw,x(r.t.values[start])), x1 = Math.max(x0,Math.min(w,x(end)));
        els.push(<g key={k}><rect x={x0} y={i * hh + 1} width={x1 - x0} height={hh * 0.9} fill={theme.visualization.getColorByName(d.color||'')} opacity={0.8} />{x1 - x0 > 60 && <text x={x0 + 3} y={i * hh + hh * 0.65} fontSize={Math.min(12, hh*0.7)} fill="#fff">{d.text}</text>}</g>);
        start = k;
      }
    }
    return <g key={i}><text x={lw - 5} y={i * hh + hh * 0.65} fontSize={11} textAnchor="end" fill={theme.colors.text.primary}>{r.name}</text>{els}</g>;
  })}<g>{[...seen].map(([t, c], i) => <g key={i}><rect x={10 + i * 110} y={h - 20} width={12} height={4} fill={theme.visualization.getColorByName(c||'')} /><text x={26 + i * 110} y={h - 14} fontSize={11} fill={theme.colors.text.primary}>{t}</text></g>)}</g></svg>;
}
function Panel({ panel, series, w, h }) {
  const empty = !series.length || series.every(f => f.length === 0);
  switch (panel.type) {
    case 'stat': return <Stat {...{ panel, series, w, h }} />;
    case 'table': { const fr = series[panel.options.frameIndex || 0]; if (!fr || !fr.fields.length) return <Empty {...{ panel, w, h }} />;
      return <ui.Table data={fr} width={w} height={h} noHeader={!panel.options.showHeader} showTypeIcons={false} resizable initialSortBy={panel.options.sortBy} timeRange={timeRange} cellHeight={panel.options.cellHeight} fieldConfig={panel.fieldConfig} />; }
    case 'timeseries': if (empty) return <Empty {...{ panel, w, h }} />;
      return <ui.TimeSeries frames={series.filter(f=>f.length)} structureRev={1} timeRange={timeRange} timeZone="utc" width={w} height={h} legend={panel.options.legend} options={panel.options}>{() => null}</ui.TimeSeries>;
    case 'state-timeline': return <Timeline {...{ panel, series, w, h }} />;
    default: return <div>{panel.type}: {series.length} frames</div>;
  }
}
class Guard extends React.Component { constructor(p){super(p);this.state={}} static getDerivedStateFromError(e){return {e}} render(){return this.state.e?<pre data-error style={{color:'red',fontSize:10}}>{String(this.state.e.stack||this.state.e).slice(0,600)}</pre>:this.props.children} }

// shows says what a panel has drawn: data, words in their place, nothing, or an error.
function shows(panel, body) {
  const text = body.innerText.trim();
  if (body.querySelector('[data-error]')) return { shows: 'error', text };
  if (body.querySelector('[data-words]')) return { shows: 'words', text };
  if (panel.type === 'timeseries') {
    const canvas = body.querySelector('canvas');
    const pixels = canvas && canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    return { shows: pixels && pixels.some((v) => v !== 0) ? 'data' : 'nothing', text };
  }
  if (panel.type === 'state-timeline') return { shows: body.querySelector('rect') ? 'data' : 'nothing', text };
  if (panel.type === 'table') return { shows: body.querySelectorAll('[role=row]').length > 1 ? 'data' : 'nothing', text };
  return { shows: text ? 'data' : 'nothing', text };
}

(async () => {
  const W = D.width, cell = W / 24, rh = 38; const els = []; let bottom = 0;
  const list = [];
  for (const p of D.dashboard.panels) { list.push(p); if (D.rows === 'open') for (const q of p.panels || []) list.push(q); }
  for (const p of list) {
    const { x, y, w, h } = p.gridPos; bottom = Math.max(bottom, (y + h) * rh);
    const style = { position: 'absolute', left: x * cell, top: y * rh + 8, width: w * cell - 8, height: h * rh - 8 };
    if (p.type === 'row') { els.push(<div key={p.id} style={{ ...style, color: theme.colors.text.primary, fontSize: 16 }}>{p.collapsed && D.rows !== 'open' ? '▸' : '▾'} {p.title}</div>); continue; }
    let series, failed; try { series = await prepare(p); } catch (e) { failed = String(e.stack); }
    const iw = style.width - 18, ih = style.height - 34;
    els.push(<div key={p.id} style={{ ...style, background: theme.colors.background.primary, border: `1px solid ${theme.colors.border.weak}`, overflow: 'hidden' }}>
      <div style={{ height: 26, padding: '4px 8px', fontSize: 14, fontWeight: 500, color: theme.colors.text.primary }}>{p.title}</div>
      <div id={'panel-' + p.id} style={{ padding: '0 8px', position: 'relative' }}>{failed ? <pre data-error style={{ color: 'red' }}>{failed}</pre> : <Guard><Panel panel={p} series={series} w={iw} h={ih} /></Guard>}</div></div>);
  }
  document.body.style.background = theme.colors.background.canvas; document.body.style.margin = 0;
  createRoot(document.getElementById('root')).render(<ui.ThemeContext.Provider value={theme}><ui.GlobalStyles /><div style={{ position: 'relative', width: W, height: bottom }}>{els}</div></ui.ThemeContext.Provider>);
  setTimeout(() => { // in Chromium's virtual time: after everything that was under way
    const report = document.createElement('script'); report.type = 'text/plain'; report.id = 'report';
    report.textContent = JSON.stringify(list.filter((p) => p.type !== 'row').map((p) => ({ title: p.title, ...shows(p, document.getElementById('panel-' + p.id)) }))).replaceAll('<', '\\u003c');
    document.body.appendChild(report);
  }, 5000);
})();
