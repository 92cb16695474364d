// What browsers of 2011 had and today's Chromium lacks. Each shim is installed by name, before the bundle is loaded,
// and only in the pages whose transport needs it.
"use strict";

(function () {
  // Internet Explorer's off-screen document. Only what the htmlfile transport touches, over a hidden frame of the page.
  function installHtmlfile() {
    function HtmlFile(name) {
      if (name !== "htmlfile") throw new Error("no such object: " + name);
    }
    // The transport makes one object just to see that it can, so the frame is not made before open().
    HtmlFile.prototype.open = function () {
      const frame = document.createElement("iframe");
      frame.style.display = "none";
      document.body.appendChild(frame);
      this.parentWindow = frame.contentWindow;
      this.document = frame.contentDocument;
      this.document.open();
    };
    HtmlFile.prototype.write = function (text) {
      this.document.write(text);
    };
    HtmlFile.prototype.close = function () {
      this.document.close();
    };
    HtmlFile.prototype.createElement = function (tag) {
      return this.document.createElement(tag);
    };
    Object.defineProperty(HtmlFile.prototype, "body", {
      get() {
        return this.document.body;
      },
    });
    window.ActiveXObject = HtmlFile;
    window.CollectGarbage = function () {};
    window.attachEvent = function (name, listener) {
      window.addEventListener(name.replace(/^on/, ""), listener);
    };
  }

  const BOUNDARY = "--socketio\n";
  const TYPE = 'multipart/x-mixed-replace;boundary="socketio"';

  // The bodies of the complete parts at the front of `text`, and the text that is not yet complete. The parser is
  // strict, so bytes that an old Firefox would have had to guess about fail the test instead.
  function splitParts(text) {
    const parts = [];
    if (text.length < BOUNDARY.length && BOUNDARY.startsWith(text)) return { parts, rest: text };
    if (!text.startsWith(BOUNDARY)) throw new Error("no boundary where one is due: " + JSON.stringify(text.slice(0, 80)));
    for (;;) {
      const end = text.indexOf("\n" + BOUNDARY, BOUNDARY.length);
      if (end < 0) return { parts, rest: text };
      const part = text.slice(BOUNDARY.length, end);
      const blank = part.indexOf("\n\n");
      if (!/^Content-Type: text\/plain/i.test(part) || blank < 0) {
        throw new Error("bad part headers: " + JSON.stringify(part.slice(0, 80)));
      }
      parts.push(part.slice(blank + 2));
      text = text.slice(end + 1);
    }
  }

  // Firefox's XMLHttpRequest with `multipart = true`: one request that completes once for each part of an endless
  // multipart/x-mixed-replace response. Releases up to 0.6.1 look at readyState 3, later ones at 4, so both are told.
  function installMultipart() {
    const Native = window.XMLHttpRequest;

    class MultipartRequest extends Native {
      open(method, url) {
        this.method = method;
        this.url = url;
        return super.open(method, url);
      }

      send(body) {
        if (!this.multipart) return super.send(body);
        this.controller = new AbortController();
        this.part = { readyState: 1, text: "" };
        this.stream().catch((error) => {
          // Aborts and lost connections are part of the tests; anything else is a fault, and reaches the page.
          if (error.name !== "AbortError" && !(error instanceof TypeError)) reportError(error);
        });
      }

      async stream() {
        const response = await fetch(this.url, { method: this.method, signal: this.controller.signal });
        const type = response.headers.get("Content-Type");
        if (type !== TYPE) {
          if (TYPE.startsWith(type || "")) return; // the answer is cut off in its head
          throw new Error("not multipart: " + type);
        }
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        let text = "";
        for (;;) {
          const { value, done } = await reader.read();
          if (done) return;
          const { parts, rest } = splitParts(text + value);
          text = rest;
          for (const part of parts) for (const readyState of [3, 4]) this.tell(readyState, part);
        }
      }

      tell(readyState, text) {
        this.part = { readyState, text };
        try {
          if (this.onreadystatechange) this.onreadystatechange();
        } catch (error) {
          reportError(error);
        }
      }

      abort() {
        if (this.controller) this.controller.abort();
        return super.abort();
      }

      get readyState() {
        return this.part ? this.part.readyState : super.readyState;
      }

      get responseText() {
        return this.part ? this.part.text : super.responseText;
      }
    }
    MultipartRequest.prototype.multipart = false;
    window.XMLHttpRequest = MultipartRequest;
  }

  window.shims = { htmlfile: installHtmlfile, "xhr-multipart": installMultipart };
})();
