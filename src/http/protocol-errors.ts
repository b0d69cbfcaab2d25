import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { PublicError } from '../api/errors.ts';
import { errorBody, sendError } from './response.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/**
 * Answers in the contract's shape where Node would answer by itself, or not at all: requests that are not HTTP, slow
 * or too large ones, CONNECT, and an Expect that is not `100-continue`.
 * @param onRequest also gets the requests that wait for `100 Continue`
 */
export function answerProtocolErrors(server: Server, onRequest: Handler): void {
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    // Without a request an answer would be taken for that of the next one: browsers and balancers connect ahead.
    const isSilent =
      error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && socket instanceof Socket && socket.bytesRead === 0;
    if (!socket.writable || error.code === 'ECONNRESET' || isSilent) socket.destroy();
    else endSocket(socket, clientError(error.code));
  });
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
    // Node has taken its own listener off this socket.
    socket.on('error', () => socket.destroy());
    endSocket(socket, { code: 405, message: 'Method not allowed' }, 'allow: GET, HEAD, POST, DELETE\r\n');
  });
  // A body is requested only once its request is let in.
  server.on('checkContinue', onRequest);
  server.on('checkExpectation', onRequest);
}

/** Why a request is refused before its path is read; null for a request that may go on. */
export function protocolError(request: IncomingMessage): PublicError | null {
  const hosts = request.headersDistinct['host'] ?? [];
  if (hosts.length > 1 || (hosts.length === 0 && request.httpVersion === '1.1')) {
    return { code: 400, message: 'Bad request: expected one Host header' };
  }
  const { expect } = request.headers;
  if (expect !== undefined && expect.toLowerCase() !== '100-continue') {
    return { code: 417, message: 'Expectation failed: expected 100-continue' };
  }
  return null;
}

export function sendProtocolError(
  request: IncomingMessage,
  response: ServerResponse,
  error: PublicError,
): void {
  sendError(request, response, error, { connection: 'close' });
}

function endSocket(socket: Duplex, { code, message }: PublicError, headers = ''): void {
  const body = JSON.stringify(errorBody({ code, message }));
  socket.end(
    `HTTP/1.1 ${code} ${STATUS_CODES[code]}\r\ncontent-type: application/json\r\ncache-control: no-store\r\n${headers}content-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  );
}

function clientError(code: string | undefined): PublicError {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return { code: 431, message: 'Request header fields too large' };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { code: 408, message: 'Request timeout' };
    default:
      return { code: 400, message: 'Bad request' };
  }
}
