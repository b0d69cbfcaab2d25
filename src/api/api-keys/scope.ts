import { z } from 'zod';
import { SCOPES } from '../../domain/api-key.ts';

export const Scope = z.enum(SCOPES).meta({ id: 'Scope' });
