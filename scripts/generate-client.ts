/** `npm run generate:client`: writes the types of the API for clients/typescript from the schemas of the server. */
import { writeFileSync } from 'node:fs';
import { API_TYPES_FILE, generateApiTypes } from './typescript-client/api-types.ts';

writeFileSync(API_TYPES_FILE, generateApiTypes());
