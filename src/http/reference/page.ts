/** hangup's mark, as the icon of the page. */
export const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="4" fill="#b3261e"/><path d="M3 9.6c0-2 2.2-3.2 5-3.2s5 1.2 5 3.2v.9c0 .4-.3.6-.6.6l-2-.3c-.3 0-.5-.3-.5-.6V9a6 6 0 0 0-3.8 0v1.2c0 .3-.2.6-.5.6l-2 .3c-.3 0-.6-.2-.6-.6z" fill="#fff"/></svg>`;

export const STYLE = `:root { color-scheme: light; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; }
:focus-visible { outline: 2px solid #1257b5; outline-offset: 2px; }
.notice { max-width: 40rem; margin: 4rem auto; padding: 0 1rem; }
`;

const SANS = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif';
const MONO = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace';

/** Redoc's options. */
const OPTIONS = {
  expandResponses: '200,201,202',
  jsonSamplesExpandLevel: 4,
  nativeScrollbars: true,
  requiredPropsFirst: true,
  theme: {
    colors: { primary: { main: '#1257b5' } },
    typography: {
      fontSize: '15px',
      fontFamily: SANS,
      headings: { fontFamily: SANS, fontWeight: '600' },
      code: { fontFamily: MONO, fontSize: '13px', color: '#a3211a' },
    },
    sidebar: { width: '260px' },
    rightPanel: { backgroundColor: '#1e2630' },
  },
};

/** Returns the script that renders the OpenAPI document in the page. */
export function startScript(): string {
  return `Redoc.init('openapi.json', ${JSON.stringify(OPTIONS)}, document.querySelector('main'));\n`;
}

/** Returns the page. All paths are relative to the page. */
export function page({
  icon,
  style,
  redoc,
  start,
}: Readonly<Record<'icon' | 'style' | 'redoc' | 'start', string>>): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>hangup API reference</title>
<link rel="icon" type="image/svg+xml" href="${icon}">
<link rel="stylesheet" href="${style}">
<script src="${redoc}" defer></script>
<script src="${start}" defer></script>
</head>
<body>
<main></main>
<noscript><p class="notice">This page requires JavaScript. The <a href="openapi.json">OpenAPI document</a> contains the same reference.</p></noscript>
</body>
</html>
`;
}
