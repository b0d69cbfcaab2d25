import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { METHOD_NOT_ALLOWED, type PublicError } from '../api/errors.ts';
import type { HttpRequest } from './request.ts';
import { errorBody, FIXED_HEADERS, sendError } from './response.ts';

type Handler = (request: HttpRequest, response: ServerResponse) => void;
type HttpServer = Server<typeof HttpRequest>;

export const HEADERS_TOO_LARGE: PublicError = { code: 431, message: 'Request header fields too large' };

/**
 * Sends the contract's error body where Node would send its own response or none: to requests that are not HTTP, too
 * slow or too large, to CONNECT, and to an Expect header other than `100-continue`.
 * @param onRequest also gets the requests that wait for `100 Continue`
 */
export function respondToProtocolErrors(server: HttpServer, onRequest: Handler): void {
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    // Browsers and load balancers connect ahead, and would take this response for that of their next request.
    const hasSentNothing =
      error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && socket instanceof Socket && socket.bytesRead === 0;
    if (!socket.writable || error.code === 'ECONNRESET' || hasSentNothing) socket.destroy();
    else endSocket(socket, toPublicError(error.code));
  });
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
    // Node has removed its own error listener from this socket.
    socket.on('error', () => socket.destroy());
    endSocket(socket, METHOD_NOT_ALLOWED, 'allow: GET, HEAD, POST, DELETE\r\n');
  });
  // Both events bypass 'request'. `readBody` sends `100 Continue` after the checks that need no body.
  server.on('checkContinue', onRequest);
  server.on('checkExpectation', onRequest);
}

/** Returns the error of a request that violates HTTP; null for a valid request. */
export function protocolError(request: IncomingMessage): PublicError | null {
  const hosts = countHosts(request.rawHeaders);
  if (hosts > 1 || (hosts === 0 && request.httpVersion === '1.1')) {
    return { code: 400, message: 'Bad request: expected one Host header' };
  }
  const { expect } = request.headers;
  if (expect !== undefined && expect.toLowerCase() !== '100-continue') {
    return { code: 417, message: 'Expectation failed: expected 100-continue' };
  }
  return null;
}

/** Counts the Host headers. `headers` has the first one only. */
function countHosts(rawHeaders: readonly string[]): number {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i];
    if (name?.length === 4 && name.toLowerCase() === 'host') count += 1;
  }
  return count;
}

export function sendProtocolError(request: HttpRequest, response: ServerResponse, error: PublicError): void {
  sendError(request, response, error, { connection: 'close' });
}

const HEADER_LINES = FIXED_HEADERS.map((text, index) => text + (index % 2 === 0 ? ': ' : '\r\n')).join('');

function endSocket(socket: Duplex, { code, message }: PublicError, headers = ''): void {
  const body = JSON.stringify(errorBody({ code, message }));
  socket.end(
    `HTTP/1.1 ${code} ${STATUS_CODES[code]}\r\ncontent-type: application/json\r\n${HEADER_LINES}${headers}content-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  );
}

function toPublicError(code: string | undefined): PublicError {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return HEADERS_TOO_LARGE;
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { code: 408, message: 'Request timeout' };
    default:
      return { code: 400, message: 'Bad request' };
  }
}
