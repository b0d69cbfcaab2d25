/** The base URL is fixed when the client is generated. */
const baseUrl = `${process.env.HANGUP_URL}/api/v1`;
export default {
  hangup: {
    input: '../openapi.json',
    output: { target: './generated/orval/hangup.ts', client: 'fetch', baseUrl },
  },
};
