exports = () => { saved = new Error("same"); throw saved; };
