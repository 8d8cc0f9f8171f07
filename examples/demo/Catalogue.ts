/**
 * What the shop sells.
 *
 * Prices are whole cents everywhere in the program, so that sums are exact. Only JSON has decimal numbers.
 */
import { Record, Schema, SchemaTransformation, Struct } from "effect"

const products = {
  tea: { name: "Tea", unit: "100 g of Darjeeling", price: 450, stock: 120 },
  coffee: { name: "Coffee", unit: "250 g, freshly roasted", price: 700, stock: 64 },
  bread: { name: "Bread", unit: "a sourdough loaf", price: 380, stock: 18 },
  butter: { name: "Butter", unit: "250 g, salted", price: 299, stock: 40 },
  milk: { name: "Milk", unit: "1 litre", price: 129, stock: 75 },
  eggs: { name: "Eggs", unit: "a box of six", price: 245, stock: 30 },
  cheese: { name: "Cheese", unit: "200 g of Gruyère", price: 615, stock: 22 },
  honey: { name: "Honey", unit: "a jar, from the roof", price: 890, stock: 12 },
  jam: { name: "Jam", unit: "a jar of apricot", price: 425, stock: 33 },
  apples: { name: "Apples", unit: "1 kg", price: 275, stock: 90 },
  tomatoes: { name: "Tomatoes", unit: "500 g", price: 219, stock: 55 },
  pasta: { name: "Pasta", unit: "500 g of fusilli", price: 165, stock: 140 },
  chocolate: { name: "Chocolate", unit: "a dark bar, 70 %", price: 320, stock: 48 },
  candles: { name: "Candles", unit: "a pack of four", price: 549, stock: 25 },
  newspaper: { name: "Newspaper", unit: "today's", price: 310, stock: 9 }
} as const

/** The name of a product. The schema refuses names that are not in the catalogue. */
export const Sku = Schema.Literals(Struct.keys(products)).annotate({ expected: "the name of a product" })
export type Sku = typeof Sku.Type

/** An amount in cents, which is a decimal number in JSON: 450 is 4.5 there. */
export const Money = Schema.Finite.pipe(
  Schema.decodeTo(
    Schema.Int,
    SchemaTransformation.transform({
      decode: (amount) => Math.round(amount * 100),
      encode: (cents) => cents / 100
    })
  )
)

export interface Product {
  readonly name: string
  readonly unit: string
  /** In cents. */
  readonly price: number
  /** How many there are when the shop opens. */
  readonly stock: number
}

export const get = (sku: Sku): Product => products[sku]

export const all: ReadonlyArray<readonly [Sku, Product]> = Record.toEntries(products)

/** The products whose name or unit contains this text; all products for an empty text. */
export const search = (text: string): ReadonlyArray<Sku> => {
  const wanted = text.trim().toLowerCase()
  return all.flatMap(([sku, { name, unit }]) => `${name} ${unit}`.toLowerCase().includes(wanted) ? [sku] : [])
}
