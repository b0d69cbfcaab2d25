/** Environment variables and the settings of .env, by name. */
export type EnvironmentVariables = Readonly<Record<string, string | undefined>>;
