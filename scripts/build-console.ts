/** `npm run build:console`: writes the web console to dist/console. */
import { buildConsole, CONSOLE_FOLDER } from './build/console.ts';

const { firstLoadKb } = await buildConsole();
process.stdout.write(`${CONSOLE_FOLDER}: first load ${firstLoadKb.toFixed(1)} kB with gzip\n`);
