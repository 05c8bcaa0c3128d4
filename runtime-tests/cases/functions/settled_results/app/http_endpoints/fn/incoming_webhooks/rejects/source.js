exports = () => ({ a: Promise.reject(new Error("inside")) });
