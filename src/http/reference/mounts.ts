import { createHash } from 'node:crypto';
import { NOT_FOUND } from '../../api/errors.ts';
import { allowGet } from '../health.ts';
import type { Mount } from '../mounts.ts';
import { CACHED_FOR_A_YEAR, sendError, sendFile, sendText } from '../response.ts';
import { ICON, page, STYLE, startScript } from './page.ts';

/** Redoc's own logo is on another host. Without an image, only Redoc's line "API docs by Redocly" remains. */
const REDOC_LOGO = 'https://cdn.redoc.ly/redoc/logo-mini.svg';
const NO_IMAGE = 'data:,';

/** The empty style elements that Redoc fills through the CSSOM, and the style element of its tabs. */
const STYLE_HASHES = [
  'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=',
  'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc=',
];

const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  `style-src 'self' ${STYLE_HASHES.map((hash) => `'${hash}'`).join(' ')}`,
  // Redoc's icons.
  "img-src 'self' data:",
  "connect-src 'self'",
  // Redoc's search runs in a worker that Redoc makes of a string.
  'worker-src blob:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

interface Asset {
  readonly contentType: string;
  readonly body: string;
}

interface Reference {
  readonly html: Asset;
  /** By name. */
  readonly files: ReadonlyMap<string, Asset>;
}

/** Returns the mounts of the API reference: the page /docs, and its files below /docs/. They need no API key. */
export function createReferenceMounts(readRedoc: () => string): readonly Mount[] {
  // Read at the first request: most processes serve no reference.
  let reference: Reference | undefined;
  const load = () => {
    reference ??= createReference(readRedoc());
    return reference;
  };
  return [
    {
      path: '/docs',
      handle: allowGet(async (request, response) => {
        const { contentType, body } = load().html;
        sendFile(request, response, body, {
          'content-type': contentType,
          'cache-control': 'no-store',
          'content-security-policy': CONTENT_SECURITY_POLICY,
        });
      }),
    },
    {
      path: '/docs/',
      handle: allowGet(async (request, response, { path }) => {
        if (path === '') {
          sendText(request, response, 308, '', 'text/plain', { location: '../docs' });
          return;
        }
        const file = load().files.get(path);
        if (file === undefined) sendError(request, response, NOT_FOUND);
        else {
          sendFile(request, response, file.body, {
            'content-type': file.contentType,
            'cache-control': CACHED_FOR_A_YEAR,
          });
        }
      }),
    },
  ];
}

function createReference(redoc: string): Reference {
  const files = new Map<string, Asset>();
  const add = (name: string, extension: string, contentType: string, body: string) => {
    const hash = createHash('sha256').update(body).digest('hex').slice(0, 16);
    const fileName = `${name}-${hash}.${extension}`;
    files.set(fileName, { contentType, body });
    // Relative to /docs, so that a proxy can add a prefix.
    return `docs/${fileName}`;
  };
  const javascript = 'text/javascript; charset=utf-8';
  const icon = add('icon', 'svg', 'image/svg+xml', ICON);
  const html = page({
    icon,
    style: add('style', 'css', 'text/css; charset=utf-8', STYLE),
    redoc: add('redoc', 'js', javascript, redoc.replaceAll(REDOC_LOGO, NO_IMAGE)),
    start: add('start', 'js', javascript, startScript()),
  });
  return { html: { contentType: 'text/html; charset=utf-8', body: html }, files };
}
