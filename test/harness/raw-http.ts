import { connect } from 'node:net';

export interface RawAnswer {
  readonly head: string;
  readonly status: number;
  readonly body: unknown;
  header(name: string): string | undefined;
}

/** Sends bytes and returns everything that the server sends until it closes the connection. */
export function sendBytes(
  url: string,
  text: string | Uint8Array,
  encoding: 'utf8' | 'latin1' = 'utf8',
): Promise<string> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname, () => socket.write(text));
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', reject);
    socket.on('close', () => resolve(Buffer.concat(chunks).toString(encoding)));
  });
}

/** Returns the response to a request that no HTTP client sends. The request needs `connection: close`. */
export async function sendRaw(url: string, text: string | Uint8Array): Promise<RawAnswer> {
  const answer = await sendBytes(url, text);
  const at = answer.indexOf('\r\n\r\n');
  const head = answer.slice(0, at);
  const body = answer.slice(at + 4);
  return {
    head,
    status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]),
    body: body === '' ? '' : JSON.parse(body),
    header: (name) => new RegExp(`^${name}: (.*)$`, 'im').exec(head)?.[1],
  };
}
