import { configDefaults, defineConfig } from 'vitest/config';

// These need programs that npm does not bring: scripts/test-livekit.ts finds them.
const outages = process.env.LIVEKIT_SERVER ? [] : ['test/livekit/outages.test.ts'];
const phones = process.env.LIVEKIT_SIP ? [] : ['test/livekit/phones.test.ts'];

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...outages, ...phones],
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
