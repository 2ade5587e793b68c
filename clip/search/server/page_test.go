package server

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// browser opens a tab of Chromium, or skips the test where there is none.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("no Chromium in PATH")
	}
	if testing.Short() {
		t.Skip("starts a browser")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.WindowSize(1200, 860), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}

func TestPage(t *testing.T) {
	ctx := browser(t)
	folder, index := gallery(t)
	// As an index of files has it: the name is shown, notes about the file are not.
	red := index.items["red"]
	delete(index.items, red.ID)
	red.ID, red.Meta = "/some/folder/red", map[string]any{"letters": 3.0, "file_size": 100.0}
	index.items[red.ID] = red
	_, h := start(t, index, &fakeModel{}, Options{Folder: folder, Heater: heatFake{}, Token: "s3cret"})
	do := func(what string, steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	until := func(what, condition string) {
		t.Helper()
		if _, err := chromedp.Run(ctx, chromedp.Poll[bool](condition, chromedp.WithPollingTimeout(10*time.Second))); err != nil {
			html, _ := chromedp.Run(ctx, chromedp.OuterHTML(chromedp.CSS("body")))
			t.Fatalf("%s: %v\n%s", what, err, html)
		}
	}
	firstIs := func(id string) string {
		return fmt.Sprintf(`document.querySelector("#hits li .id")?.textContent === %q
			&& !document.querySelector("#hits.busy") && document.querySelectorAll("#hits img").length === 4`, id)
	}
	picture := func(name string) string {
		return fmt.Sprintf(`new File([Uint8Array.from(atob(%q), c => c.charCodeAt(0))], "it.png", {type: "image/png"})`,
			base64.StdEncoding.EncodeToString(disc(colors[name], 60, 60)))
	}
	text := chromedp.CSS("#text")

	do("open", chromedp.Navigate(h.URL), chromedp.WaitVisible(chromedp.CSS("#token")))
	do("a wrong token", chromedp.SendKeys(chromedp.CSS("#token"), "wrong\r"))
	until("the token is asked for again", `document.getElementById("ask").open && document.getElementById("token").value === ""`)
	do("the token", chromedp.SendKeys(chromedp.CSS("#token"), "s3cret\r"))
	until("what is in the index", `document.getElementById("about").textContent.startsWith("4 items")`)

	do("type", chromedp.SendKeys(text, "red disc\r"))
	until("hits for a text", firstIs("red"))
	until("name and metadata", `document.querySelector("#hits li .id").title === "/some/folder/red" && document.querySelector("#hits li dl").textContent === "letters3"`)
	until("style", `getComputedStyle(document.getElementById("hits")).display === "grid"`)
	do("heat map", chromedp.Click(chromedp.CSS("#hits li button")))
	until("heat map", `document.querySelector("#hits li button").ariaPressed === "true" && document.querySelector("#hits li img").naturalHeight === 200`)
	do("heat map off", chromedp.Click(chromedp.CSS("#hits li button")))
	until("thumbnail again", `document.querySelector("#hits li button").ariaPressed === "false" && document.querySelector("#hits li img").naturalHeight === 160`)
	screenshot(t, ctx, "TESSERA_SCREENSHOT")

	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`{
		const d = new DataTransfer();
		d.items.add(`+picture("blue")+`);
		document.getElementById("text").value = "";
		document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: d, bubbles: true, cancelable: true}))
	}`)); err != nil {
		t.Fatalf("drop: %v", err)
	}
	until("hits for a dropped picture", firstIs("blue")+` && document.getElementById("preview").naturalWidth === 60`)
	screenshot(t, ctx, "TESSERA_SCREENSHOT_PICTURE")
	do("remove the picture", chromedp.Click(chromedp.CSS("#forget")))
	until("picture removed", `document.getElementById("chip").hidden && document.activeElement.id === "text"`)

	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`{
		const d = new DataTransfer();
		d.items.add(`+picture("yellow")+`);
		document.dispatchEvent(new ClipboardEvent("paste", {clipboardData: d, bubbles: true}))
	}`)); err != nil {
		t.Fatalf("paste: %v", err)
	}
	until("hits for a pasted picture", firstIs("yellow"))
	file := folder + "/green.png"
	do("choose a picture", chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{file}))
	until("hits for a chosen picture", firstIs("green"))
	if err := os.WriteFile(folder+"/bad.png", []byte("no image"), 0o600); err != nil {
		t.Fatal(err)
	}
	do("choose what is no picture", chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{folder + "/bad.png"}))
	until("an error is shown", `document.getElementById("status").className === "wrong" && document.getElementById("status").textContent.includes("no JPEG")`)
}

// screenshot writes the page to the file that a variable of the environment
// names, if it does.
func screenshot(t *testing.T, ctx context.Context, variable string) {
	t.Helper()
	file := os.Getenv(variable)
	if file == "" {
		return
	}
	b, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
