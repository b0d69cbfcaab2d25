import type { Timestamp } from '../domain/time.ts';
import type { Author } from './store.ts';

/** Prefixes of the rooms that become calls without a registration. */
export interface AdoptionStore {
  /** Creates the organization if its name is new. */
  addAdoptionPrefix(input: NewAdoptionPrefix): Promise<'added' | 'taken'>;
  listAdoptionPrefixes(): Promise<readonly AdoptionPrefix[]>;
  /** Returns false when the prefix does not exist. */
  removeAdoptionPrefix(input: {
    prefix: string;
    /** Removes only a prefix of the organization of this author. Absent: an operator, who may remove each prefix. */
    author?: Author | undefined;
    now: Timestamp;
  }): Promise<boolean>;
}

export interface AdoptionPrefix {
  readonly prefix: string;
  readonly organizationId: string;
  readonly organizationName: string;
  readonly createdAt: Timestamp;
}

export interface NewAdoptionPrefix {
  readonly prefix: string;
  readonly organizationName: string;
  readonly organizationIdIfNew: string;
  /** For the audit log. Absent: an operator. */
  readonly author?: Author | undefined;
  readonly now: Timestamp;
}
