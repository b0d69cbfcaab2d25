import { type PreparedRows, prepareSql, type Session, type Value, type Values } from './session.ts';

/**
 * Prepares SQL with parameters like `@agentId`. A statement ignores values that it does not name, so that several statements
 * can have the same values.
 */
export function prepareNamed<Row>(sql: string): PreparedRows<Row, Values> {
  const names = [...new Set([...sql.matchAll(/@(\w+)/g)].map(([, name = '']) => name))];
  const { get, all } = prepareSql<Row>(
    sql.replaceAll(/@(\w+)/g, (_, name: string) => `$${names.indexOf(name) + 1}`),
  );
  const bind = (values: Values) => names.map((name) => parameterOf(values, name));
  return {
    get: (session: Session, values: Values = {}) => get(session, bind(values)),
    all: (session: Session, values: Values = {}) => all(session, bind(values)),
  };
}

function parameterOf(values: Values, name: string): Value {
  const value = values[name];
  if (value === undefined) throw new Error(`no value for the parameter ${name}`);
  return value;
}
