import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { NOT_FOUND } from '../../api/errors.ts';
import { allowGet } from '../health.ts';
import type { Mount } from '../mounts.ts';
import type { HttpRequest } from '../request.ts';
import { CACHED_FOR_A_YEAR, sendError, sendFile, sendNotFound, sendText } from '../response.ts';

/** The files of the console by their paths, such as `index.html` and `assets/index-4f3a.js`. */
export type ConsoleFiles = ReadonlyMap<string, Buffer>;

/** No script and no style of another origin, and none inside the page. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};

const PAGE = 'index.html';
/** Files whose names change with their contents. */
const ASSETS = 'assets/';
const NOT_BUILT = { code: 503, message: 'The console is not built: run npm run build:console' };

/**
 * Returns the mounts of the console's files, and of its page at every other path below /console/. They need no API key.
 * @param readFiles returns null if the console is not built
 */
export function createConsoleFileMounts(readFiles: () => ConsoleFiles | null): readonly Mount[] {
  // Read at the first request: most processes serve no console.
  let files: ConsoleFiles | null = null;
  const compressed = new Map<string, Buffer>();
  const compress = (name: string, body: Buffer) => {
    const gzip = compressed.get(name) ?? gzipSync(body);
    compressed.set(name, gzip);
    return gzip;
  };

  const send = (request: HttpRequest, response: ServerResponse, path: string) => {
    files ??= readFiles();
    if (files === null) {
      sendError(request, response, NOT_BUILT);
      return;
    }
    const isAsset = path.startsWith(ASSETS);
    const name = isAsset ? path : PAGE;
    const body = files.get(name);
    if (body === undefined) {
      sendError(request, response, NOT_FOUND);
      return;
    }
    const isCompressed = acceptsGzip(request);
    const sent = isCompressed ? compress(name, body) : body;
    sendFile(request, response, sent, {
      'content-type': CONTENT_TYPES[name.slice(name.lastIndexOf('.') + 1)] ?? 'application/octet-stream',
      ...(isCompressed && { 'content-encoding': 'gzip' }),
      vary: 'accept-encoding',
      'cache-control': isAsset ? CACHED_FOR_A_YEAR : 'no-store',
      ...(!isAsset && { 'content-security-policy': CONTENT_SECURITY_POLICY }),
    });
  };
  // The page reads its own query.
  const allowQuery = true;
  return [
    { path: '/console/assets', handle: sendNotFound },
    {
      path: '/console',
      handle: allowGet(
        async (request, response, { search }) => {
          const location = `/console/${search === '' ? '' : `?${search}`}`;
          sendText(request, response, 308, '', 'text/plain', { location });
        },
        { allowQuery },
      ),
    },
    {
      path: '/console/',
      handle: allowGet(async (request, response, { path }) => send(request, response, path), { allowQuery }),
    },
  ];
}

function acceptsGzip({ headers }: HttpRequest): boolean {
  return /(?:^|,)\s*gzip\s*(?:,|$|;\s*q=(?:1|0\.\d*[1-9]))/i.test(String(headers['accept-encoding'] ?? ''));
}
