import { type EnumType, type FieldInfo, type MessageType, ScalarType } from '@bufbuild/protobuf';

/*
 * A check of protobuf JSON, several times as fast as parsing: the SDK creates a message with default values for each object
 * in the JSON. A JSON that passes is one that the SDK accepts, and each field has the value that stands in the JSON.
 */

export type JsonObject = Readonly<Record<string, unknown>>;
type Check = (value: unknown) => boolean;

const checksByType = new Map<MessageType, ReadonlyMap<string, Check>>();

/** Whether each known field of a message has the JSON type that LiveKit writes. False for any other valid form. */
export function isUsualJson(type: MessageType, json: unknown): json is JsonObject {
  if (!isObject(json)) return false;
  const checks = checksByType.get(type) ?? checksOf(type);
  for (const name in json) {
    const check = checks.get(name);
    if (check !== undefined && !check(json[name])) return false;
  }
  return true;
}

function isObject(json: unknown): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

const isUnusual: Check = () => false;

function checksOf(type: MessageType): ReadonlyMap<string, Check> {
  const checks = new Map<string, Check>();
  for (const field of type.fields.list()) {
    // The SDK also accepts the name in the protobuf source.
    checks.set(field.name, isUnusual);
    checks.set(field.jsonName, checkOf(field));
  }
  checksByType.set(type, checks);
  return checks;
}

function checkOf(field: FieldInfo): Check {
  if (field.oneof !== undefined) return isUnusual;
  switch (field.kind) {
    case 'scalar':
      return repeatedIf(field.repeated, SCALAR_CHECKS[field.T] ?? isUnusual);
    case 'enum':
      return repeatedIf(field.repeated, isNameIn(field.T));
    case 'message': {
      const { T: type } = field;
      // These types have a JSON form of their own.
      if (type.typeName.startsWith('google.protobuf.')) return isUnusual;
      return repeatedIf(field.repeated, (value) => isUsualJson(type, value));
    }
    case 'map': {
      if (field.K !== ScalarType.STRING || field.V.kind !== 'scalar') return isUnusual;
      const isValue = SCALAR_CHECKS[field.V.T] ?? isUnusual;
      return (value) =>
        isObject(value) && Object.keys(value).every((key) => key.isWellFormed() && isValue(value[key]));
    }
  }
}

const repeatedIf = (isRepeated: boolean, check: Check): Check =>
  isRepeated ? (value) => Array.isArray(value) && value.every(check) : check;

function isNameIn({ values }: EnumType): Check {
  const names = new Set<unknown>(values.map(({ name }) => name));
  return (value) => names.has(value);
}

const isInteger =
  (min: number, max: number): Check =>
  (value) =>
    typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max;
/** protobuf JSON writes 64-bit integers as strings. */
const DECIMAL = /^\d{1,18}$/;
const isDecimal: Check = (value) => typeof value === 'string' && DECIMAL.test(value);

const SCALAR_CHECKS: Readonly<Partial<Record<ScalarType, Check>>> = {
  [ScalarType.STRING]: (value) => typeof value === 'string' && value.isWellFormed(),
  [ScalarType.BOOL]: (value) => typeof value === 'boolean',
  [ScalarType.INT32]: isInteger(-(2 ** 31), 2 ** 31 - 1),
  [ScalarType.UINT32]: isInteger(0, 2 ** 32 - 1),
  [ScalarType.INT64]: isDecimal,
  [ScalarType.UINT64]: isDecimal,
};
