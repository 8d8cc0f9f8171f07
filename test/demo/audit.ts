/**
 * What makes a page usable, as functions that run in it. They see only what is in themselves.
 */

/** The texts that are too pale for what is behind them, with their contrast (WCAG 2). */
export const paleTexts = (least: number): ReadonlyArray<string> => {
  type Colour = readonly [red: number, green: number, blue: number, alpha: number]
  const { document, getComputedStyle, NodeFilter } = globalThis as any
  const parse = (css: string): Colour => {
    const [red = 0, green = 0, blue = 0, alpha = 1] = css.match(/[\d.]+/g)?.map(Number) ?? []
    return [red, green, blue, alpha]
  }
  const over = (top: Colour, below: Colour): Colour => {
    const mix = (n: 0 | 1 | 2) => top[n] * top[3] + below[n] * (1 - top[3])
    return [mix(0), mix(1), mix(2), 1]
  }
  const behind = (element: any): Colour => {
    if (element === null) return [255, 255, 255, 1]
    const colour = parse(getComputedStyle(element).backgroundColor)
    return colour[3] === 1 ? colour : over(colour, behind(element.parentElement))
  }
  const opacity = (element: any): number =>
    element === null ? 1 : Number(getComputedStyle(element).opacity) * opacity(element.parentElement)
  const luminance = (colour: Colour) => {
    const [red, green, blue] = colour.map((n) =>
      n / 255 <= 0.04045 ? n / 255 / 12.92 : ((n / 255 + 0.055) / 1.055) ** 2.4
    )
    return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!
  }
  const contrast = (element: any, pseudo?: string) => {
    const background = behind(element)
    const [red, green, blue, alpha] = parse(getComputedStyle(element, pseudo).color)
    const [light, dark] = [
      luminance(over([red, green, blue, alpha * opacity(element)], background)),
      luminance(background)
    ]
      .sort((a, b) => b - a)
    return (light! + 0.05) / (dark! + 0.05)
  }
  const isShown = (element: any) =>
    element.checkVisibility({ visibilityProperty: true }) && element.closest(":disabled, .unseen, .skip") === null
  const found: Array<string> = []
  const check = (element: any, text: string, pseudo?: string) => {
    const ratio = contrast(element, pseudo)
    if (ratio < least) found.push(`${text.trim()}: ${ratio.toFixed(2)}`)
  }
  // Behind a dialog everything is pale.
  const root = document.querySelector("dialog[open]") ?? document.body
  const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT)
  while (texts.nextNode() !== null) {
    const { data, parentElement } = texts.currentNode
    if (data.trim() !== "" && isShown(parentElement)) check(parentElement, data)
  }
  for (const input of root.querySelectorAll("[placeholder]")) check(input, input.placeholder, "::placeholder")
  return found
}

/** What can be used by keyboard, in the order of the page. */
export const usable = (): ReadonlyArray<string> => {
  const { document } = globalThis as any
  const all = ["a[href]", ...["button", "input", "select", "textarea"].map((tag) => `${tag}:enabled`)].join()
  return Array.from(document.querySelectorAll(all)).flatMap((element: any) =>
    element.checkVisibility({ visibilityProperty: true }) ? [element.outerHTML] : []
  )
}

/** What has the focus, if it can be seen that it has. */
export const focused = (): string => {
  const { document, getComputedStyle } = globalThis as any
  const element = document.activeElement
  return getComputedStyle(element).outlineStyle === "none" ? `no outline: ${element.outerHTML}` : element.outerHTML
}

/** What is cut off by the edge of the window, or by that of what it is in. */
export const cutOff = (): ReadonlyArray<string> => {
  const { document } = globalThis as any
  const width = document.documentElement.clientWidth
  return Array.from(document.querySelectorAll("body, body *:not(.unseen, .skip, symbol *)")).flatMap((element: any) => {
    const { left, right } = element.getBoundingClientRect()
    const isCut = left < -0.5 || right > width + 0.5 || element.scrollWidth > element.clientWidth + 1
    return isCut && element.clientWidth > 0 && element.checkVisibility({ visibilityProperty: true })
      ? [`${element.tagName} ${element.id} ${element.className}: ${element.textContent.trim().slice(0, 40)}`]
      : []
  })
}
