// Draws the plots of a report (data: ChartJson in html.cc) with Chart.js, in the page's colours.
'use strict';
(() => {
  const charts = JSON.parse(document.getElementById('charts').textContent);
  // Okabe and Ito's palette: told apart by colour-blind people too.
  const palette = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#8a6fd1', '#7f7f7f'];
  const shapes = ['circle', 'rect', 'triangle', 'rectRot', 'rectRounded'];
  const keys = [...new Set(charts.flatMap(chart => chart.series.map(series => series.colour)))];
  const indexOf = key => keys.indexOf(key);
  const colourOf = key => key === '' ? css('--quiet') : palette[indexOf(key) % palette.length];
  const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const faint = (colour, alpha) => colour + alpha;

  const short = value => {
    for (const [size, unit] of [[1e9, 'G'], [1e6, 'M'], [1e3, 'k']]) {
      if (Math.abs(value) >= size) return +(value / size).toPrecision(3) + unit;
    }
    return String(+value.toPrecision(3));
  };

  // A band is two lines, the lower filled up to the upper.
  function datasets(series) {
    const colour = colourOf(series.colour);
    // Points over lines over bands.
    const order = {points: 0, line: 1, band: 2}[series.kind];
    const base = {label: series.label, borderColor: colour, backgroundColor: colour, order};
    if (series.kind === 'band') {
      const edge = {...base, showLine: true, pointRadius: 0, pointHitRadius: 0, borderWidth: 0, backgroundColor: faint(colour, '1c')};
      return [
        {...edge, data: series.points.map(p => ({x: p.x, y: p.high})), fill: false},
        {...edge, data: series.points.map(p => ({x: p.x, y: p.low})), fill: '-1'},
      ];
    }
    if (series.kind === 'line') {
      return [{...base, data: series.points, showLine: true, pointStyle: 'line', pointRadius: 0, pointHitRadius: 4, borderWidth: 2,
        borderDash: series.dashed ? [6, 4] : [], fill: false}];
    }
    const many = series.points.length > 400;
    return [{...base, data: series.points, showLine: false, pointStyle: shapes[Math.max(0, indexOf(series.colour)) % shapes.length],
      pointRadius: many ? 1.5 : 4, pointHoverRadius: 6, borderWidth: 1, backgroundColor: many ? faint(colour, '50') : colour}];
  }

  // One entry for each label; a click shows or hides all that has it.
  const legend = {
    position: 'bottom',
    labels: {
      usePointStyle: true,
      color: '',
      generateLabels: chart => {
        const seen = new Set();
        return Chart.defaults.plugins.legend.labels.generateLabels(chart).filter(item => {
          const dataset = chart.data.datasets[item.datasetIndex];
          if (item.text === '' || seen.has(item.text) || dataset.pointHitRadius === 0) return false;
          seen.add(item.text);
          item.fillStyle = dataset.borderColor;
          item.lineWidth = dataset.pointStyle === 'line' ? 2 : 0;
          return true;
        });
      },
    },
    onClick: (_, item, {chart}) => {
      const visible = chart.isDatasetVisible(item.datasetIndex);
      chart.data.datasets.forEach((dataset, i) => {
        if (dataset.label === item.text) chart.setDatasetVisibility(i, !visible);
      });
      chart.update();
    },
  };

  function axis(label, more) {
    return {title: {display: true, text: label, color: css('--text')}, grid: {color: css('--line')},
      ticks: {color: css('--quiet'), ...more.ticks}, ...more.scale};
  }

  function options(chart) {
    const names = chart.x_names;
    const x = names.length > 0
      ? axis(chart.x_label, {scale: {type: 'linear', min: -0.5, max: names.length - 0.5, afterBuildTicks: scale => { scale.ticks = names.map((_, value) => ({value})); }},
        ticks: {autoSkip: false, minRotation: 60, maxRotation: 90, callback: value => names[value]}})
      : axis(chart.x_label, {scale: {type: chart.log_x ? 'logarithmic' : 'linear'},
        ticks: {callback: value => chart.log_x && ![1, 2, 5].includes(+String(value / 10 ** Math.floor(Math.log10(value))).slice(0, 3)) ? '' : short(value), maxRotation: 0}});
    return {
      animation: false, responsive: true, maintainAspectRatio: false, devicePixelRatio: Math.max(2, window.devicePixelRatio),
      scales: {x, y: axis(chart.y_label, {scale: {}, ticks: {}})},
      plugins: {
        legend: {...legend, labels: {...legend.labels, color: css('--text')}},
        tooltip: {callbacks: {title: () => '', label: item => {
          const where = names.length > 0 ? names[item.parsed.x] : short(item.parsed.x);
          return `${item.dataset.label}: ${item.parsed.y.toFixed(2)} at ${where}${item.raw.text ? ' (' + item.raw.text + ')' : ''}`;
        }}},
      },
    };
  }

  let drawn = [];
  function draw() {
    drawn.forEach(chart => chart.destroy());
    drawn = [...document.querySelectorAll('canvas[data-chart]')].map(canvas => {
      const chart = charts[+canvas.dataset.chart];
      return new Chart(canvas, {type: 'scatter', data: {datasets: chart.series.flatMap(datasets)}, options: options(chart)});
    });
  }
  draw();
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  window.addEventListener('beforeprint', draw);
  window.addEventListener('afterprint', draw);
})();
